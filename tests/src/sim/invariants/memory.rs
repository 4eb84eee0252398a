//! The memory of sums and of copies that wait stays within what was granted.

use lockstep_coordinator::reducer::Reducer;

use super::Verdict;

#[derive(Debug, Default)]
pub(in crate::sim) struct Memory;

impl Memory {
    pub(in crate::sim) fn check(&self, reducer: &Reducer, workers: usize) -> Verdict {
        let ledger = reducer.ledger();
        let (waiting, most) = (ledger.waiting(), ledger.most_waiting());
        if waiting > most {
            return Err(format!("memory: {waiting} sums wait, at most {most} may"));
        }
        // Where copies differ, every worker may have sent one.
        if reducer.copies() > most * workers {
            return Err(format!(
                "memory: {} copies wait, at most {most} times {workers} may",
                reducer.copies()
            ));
        }
        Ok(())
    }
}
