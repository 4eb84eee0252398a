//! A generation never falls, also over a restart of the coordinator.

use lockstep_proto::Generation;
use lockstep_proto::message::ToWorker;

use super::Verdict;

#[derive(Debug, Default)]
pub(in crate::sim) struct Generations {
    newest: Option<Generation>,
}

impl Generations {
    pub(in crate::sim) fn sent(&mut self, message: &ToWorker) -> Verdict {
        let generation = match message {
            ToWorker::Assign(assign) => assign.generation,
            ToWorker::Evaluate(evaluate) => evaluate.generation,
            _ => return Ok(()),
        };
        match self.newest.replace(generation) {
            Some(before) if before > generation => {
                Err(format!("generations: {before} was followed by {generation}"))
            }
            _ => Ok(()),
        }
    }
}
