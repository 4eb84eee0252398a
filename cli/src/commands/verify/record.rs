//! What a run directory says of its run, and where it contradicts itself. Only reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockstep_coordinator::store::{
    Checkpoint, DigestLine, Environment, ModelFile, Recorded, Results, StoreError, checkpoints,
    open_checkpoint, open_model, read_digests, read_environment,
};
use lockstep_core::chain::{Inputs, Link};
use lockstep_core::digest::Digest;
use lockstep_core::run::{self, differences, meaning, spec::Run};

use super::finding::{Finding, What};
use crate::failure::Failure;

/// A run directory's record.
pub struct Record {
    pub path: PathBuf,
    pub run: Run,
    pub environment: Environment,
    /// The lines that continue each other.
    pub lines: Vec<DigestLine>,
    /// A line that does not, and which can be read.
    broken: Option<DigestLine>,
    /// Folders by step, of checkpoints that are whole and of this run, with their digests.
    pub checkpoints: BTreeMap<u64, (PathBuf, Digest)>,
    /// Final models, with their steps.
    pub models: Vec<(PathBuf, ModelFile)>,
    pub findings: Vec<Finding>,
}

impl Record {
    /// Reads a run directory.
    ///
    /// # Errors
    /// It holds no run, or its run file or `env.json` cannot be read (78).
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let run = stored_run(path)?;
        let Some(environment) = read_environment(path)? else {
            return Err(Failure::bad(format!(
                "{}: there is no env.json: the run has not begun",
                path.display()
            )));
        };
        let Recorded { lines, broken } = read_digests(path, &environment.inputs)?;
        let mut record = Self {
            path: path.to_owned(),
            run,
            environment,
            lines,
            broken: broken.as_ref().and_then(|(_, line)| *line),
            checkpoints: BTreeMap::new(),
            models: Vec::new(),
            findings: Vec::new(),
        };
        if let Some((problem, line)) = broken {
            let step = line.map(|line| line.step);
            record.findings.push(Finding { what: What::Digests, step, text: problem.to_string() });
        }
        record.read_checkpoints()?;
        record.read_models();
        record.read_results();
        Ok(record)
    }

    fn line(&self, step: u64) -> Option<&DigestLine> {
        self.lines.iter().find(|line| line.step == step)
    }

    /// The recorded digests after a step, each with where it is recorded.
    pub fn points(&self) -> BTreeMap<u64, Vec<(String, Digest)>> {
        let mut points: BTreeMap<u64, Vec<(String, Digest)>> = BTreeMap::new();
        for (number, line) in self.lines.iter().enumerate() {
            let place = format!("digests.jsonl, line {}", number + 1);
            points.entry(line.step).or_default().push((place, line.digest));
        }
        for (step, (folder, digest)) in &self.checkpoints {
            points.entry(*step).or_default().push((folder.display().to_string(), *digest));
        }
        points
    }

    fn read_checkpoints(&mut self) -> Result<(), Failure> {
        for (step, folder) in checkpoints(&self.path)? {
            match open_checkpoint(&folder) {
                Ok(checkpoint) => match self.contradiction(step, &checkpoint) {
                    None => {
                        self.checkpoints.insert(step, (folder, checkpoint.digest));
                    }
                    Some(text) => {
                        let text = format!("{}: {text}", folder.display());
                        self.findings.push(Finding::at(What::Checkpoint, step, text));
                    }
                },
                Err(problem @ StoreError::Damaged { .. }) => {
                    self.findings.push(Finding::at(What::Checkpoint, step, problem));
                }
                Err(problem) => return Err(problem.into()),
            }
        }
        Ok(())
    }

    /// What a whole checkpoint says otherwise than the rest of the directory.
    fn contradiction(&mut self, step: u64, checkpoint: &Checkpoint) -> Option<String> {
        if checkpoint.step != step {
            return Some(format!("it is of step {}", checkpoint.step));
        }
        if let Some((key, found, now)) = differences(&checkpoint.run, &self.run).into_iter().next() {
            let text = format!(
                "{}: {key} is {now}, and the checkpoint of step {step} was made with {found}",
                self.path.join("run.toml").display()
            );
            if !self.findings.iter().any(|finding| finding.what == What::RunFile) {
                self.findings.push(Finding::new(What::RunFile, text));
            }
        }
        if checkpoint.inputs != self.environment.inputs {
            return Some("it is of another run file or of other rows than env.json says".into());
        }
        let digest = |found: Digest| {
            format!("its digest is {}, and digests.jsonl has {found} for this step", checkpoint.digest)
        };
        if let Some(line) = self.broken.filter(|line| line.step == step && line.digest != checkpoint.digest) {
            // The line is found already, and the checkpoint's place in the chain cannot be compared.
            let text = format!("checkpoint-{step}: {}", digest(line.digest));
            self.findings.push(Finding::at(What::Digests, step, text));
            return None;
        }
        if let Some(line) = self.line(step).filter(|line| line.digest != checkpoint.digest) {
            return Some(digest(line.digest));
        }
        let before = self.lines.iter().rfind(|line| line.step <= step).map(|line| line.chain);
        let link = before.unwrap_or_else(|| Link::first(&self.environment.inputs));
        (!self.has_broken() && link != checkpoint.link)
            .then(|| "it was written after other digests than digests.jsonl has".to_owned())
    }

    fn has_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.what == What::Digests)
    }

    fn read_models(&mut self) {
        let files = ["model.safetensors", "best.safetensors"].map(|name| self.path.join(name));
        for path in files.into_iter().filter(|path| path.is_file()) {
            match open_model(&path) {
                Ok(model) => {
                    let step = model.step;
                    if let Some(line) = self.line(step).filter(|line| line.digest != model.digest) {
                        let text = format!(
                            "{}: it is of {}, and digests.jsonl has {} for step {step}",
                            path.display(),
                            model.digest,
                            line.digest
                        );
                        self.findings.push(Finding::at(What::Model, step, text));
                    } else {
                        self.models.push((path, model));
                    }
                }
                Err(problem) => self.findings.push(Finding::new(What::Model, problem)),
            }
        }
    }

    fn read_results(&mut self) {
        let path = self.path.join("results.json");
        let Ok(bytes) = std::fs::read(&path) else { return };
        let (path, last) = (path.display(), self.lines.last());
        let text = match serde_json::from_slice::<Results>(&bytes) {
            Err(problem) => format!("{path}: not what was written: {problem}"),
            Ok(Results { steps, digest, .. }) if !self.has_broken() => match last {
                Some(last) if (last.step, last.digest) == (steps, digest) => return,
                Some(last) => format!(
                    "{path}: {digest} after step {steps}, and digests.jsonl ends with {} after step {}",
                    last.digest, last.step
                ),
                None => format!("{path}: {digest} after step {steps}, and digests.jsonl has no line"),
            },
            Ok(_) => return,
        };
        self.findings.push(Finding::new(What::Results, text));
    }

    /// Compares run file and rows with those that the digests began from. Whether all are the same.
    pub fn compare_inputs(&mut self, found: &Inputs, sources: (&str, &str)) -> bool {
        let stored = self.environment.inputs;
        if stored == *found {
            return true;
        }
        if self.environment_is_wrong(found) {
            return false;
        }
        for (what, now, then, source) in [
            ("training rows", Some(found.train), Some(stored.train), sources.0),
            ("validation rows", found.validation, stored.validation, sources.1),
        ] {
            if now != then {
                let text = format!("{source}: the {what} are not those that the run began with");
                self.findings.push(Finding::new(What::Data, text));
            }
        }
        false
    }

    /// If the lines do follow from what there is now, it is `env.json` alone that says otherwise.
    fn environment_is_wrong(&mut self, found: &Inputs) -> bool {
        let recorded = read_digests(&self.path, found);
        let follows = recorded.is_ok_and(|recorded| recorded.broken.is_none() && !recorded.lines.is_empty());
        if follows {
            let path = self.path.join("env.json");
            let text = format!("{}: its inputs are not those that digests.jsonl begins from", path.display());
            self.findings = vec![Finding::new(What::Environment, text)];
        }
        follows
    }

    /// Whether the run file means what it meant when the run began.
    pub fn same_meaning(&mut self) -> bool {
        let (run, stored) = (Digest::of(meaning(&self.run).as_bytes()), self.environment.inputs);
        if run == stored.run {
            return true;
        }
        if self.environment_is_wrong(&Inputs { run, ..stored }) {
            return false;
        }
        if !self.findings.iter().any(|finding| finding.what == What::RunFile) {
            let path = self.path.join("run.toml");
            let text = format!("{}: it is not the run file that the run began with", path.display());
            self.findings.push(Finding::new(What::RunFile, text));
        }
        false
    }
}

fn stored_run(path: &Path) -> Result<Run, Failure> {
    let file = path.join("run.toml");
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::bad(format!("{}: not a run directory: run.toml: {error}", path.display()))
    })?;
    run::parse(&text, &[]).map_err(|problem| Failure::bad(format!("{}: {problem}", file.display())))
}
