//! The ledger's memory stays within what it granted.

use lockstep_coordinator::ledger::Ledger;

use super::Verdict;

#[derive(Debug, Default)]
pub(in crate::sim) struct Memory;

impl Memory {
    pub(in crate::sim) fn check(&self, ledger: &Ledger) -> Verdict {
        let (waiting, most) = (ledger.waiting(), ledger.most_waiting());
        if waiting > most {
            return Err(format!("memory: {waiting} sums wait, at most {most} may"));
        }
        Ok(())
    }
}
