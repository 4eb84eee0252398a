//! A malicious peer: gradients that were true once, or nearly are.

use bytes::Bytes;
use lockstep_coordinator::cluster::Input;
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::{Gradient, Up};

use super::invariants::Verdict;
use super::world::World;

impl World {
    /// Before an honest gradient: copies of it in which one thing is wrong.
    pub(super) fn inject_around(&mut self, session: Session, honest: &Gradient) -> Verdict {
        // One of a step that is over, from whoever was too late, is not nearly true.
        let open = self.hub.cluster.as_ref().and_then(|cluster| cluster.reducer().ledger().step());
        if self.tamper == 0 || open != Some(honest.step) {
            return Ok(());
        }
        self.tamper -= 1;
        let last = self.case.chunks.len() as u32;
        let shorter = honest.payload.slice(..honest.payload.len() - 1);
        let longer: Bytes = [&honest.payload[..], &[0]].concat().into();
        let level = honest.node.level;
        let beside = Node { level, position: (u32::MAX >> level) - 1 };
        let copies = [
            ("step", Gradient { step: honest.step + 1, ..honest.clone() }),
            ("step", Gradient { step: honest.step.wrapping_sub(1), ..honest.clone() }),
            ("chunk", Gradient { chunk: last, ..honest.clone() }),
            ("chunk", Gradient { chunk: u32::MAX, ..honest.clone() }),
            ("node", Gradient { node: beside, ..honest.clone() }),
            ("node", Gradient { node: Node { level: 30, position: 0 }, ..honest.clone() }),
            ("length", Gradient { payload: shorter, ..honest.clone() }),
            ("length", Gradient { payload: longer, ..honest.clone() }),
            ("length", Gradient { payload: Bytes::new(), ..honest.clone() }),
        ];
        let granted = self.hub.cluster.as_ref().map_or(0, |cluster| cluster.reducer().ledger().granted());
        let early = last.checked_sub(1 + granted).map(|chunk| Gradient { chunk, ..honest.clone() });
        let early = early.map(|copy| ("grant", copy));
        for (what, copy) in copies.into_iter().chain(early) {
            self.must_be_refused(session, what, copy)?;
        }
        let nobody = Session::new(self.hub.life(), u32::MAX);
        self.must_be_refused(nobody, "session", honest.clone())
    }

    /// Gradients that were accepted once, under their own session and under another.
    pub(super) fn replay(&mut self) -> Result<bool, String> {
        if self.hub.cluster.is_none() || self.hub.paused.is_some() {
            return Ok(false);
        }
        let sessions: Vec<Session> = self.network.all().filter_map(|(_, c)| c.session).collect();
        let recorded: Vec<_> = self.accepted.iter().cloned().collect();
        for (session, gradient) in &recorded {
            let other = self.dice.pick(&sessions).unwrap_or(*session);
            self.must_be_refused(*session, "replayed", gradient.clone())?;
            self.must_be_refused(other, "replayed", gradient.clone())?;
        }
        Ok(!recorded.is_empty())
    }

    fn must_be_refused(&mut self, session: Session, what: &str, gradient: Gradient) -> Verdict {
        let before = self.refused();
        self.note(format_args!("◀ {session} {gradient:?}, wrong: {what}"));
        self.input(Input::Tensors(session, Up::Gradient(gradient)))?;
        if self.hub.cluster.is_some() && self.refused() == before {
            return Err(format!("refusals: a gradient was accepted although it is wrong: {what}"));
        }
        self.tally.count(format!("injected: {what}"));
        Ok(())
    }

    fn refused(&self) -> u64 {
        self.hub.cluster.as_ref().map_or(0, |cluster| cluster.refused().values().sum())
    }
}
