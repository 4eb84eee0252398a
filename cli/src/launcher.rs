//! What a launcher's variables say of a worker: where its coordinator is, its name, its threads.
//!
//! Sources: torchrun's and Kubeflow's `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT` and `PET_*`,
//! Slurm's `SLURM_*` (srun(1), "OUTPUT ENVIRONMENT VARIABLES"), Kubernetes' `JOB_COMPLETION_INDEX` for
//! Indexed Jobs. A flag comes before a `LOCKSTEP_*` variable, and that before these.

/// Where a coordinator listens if nobody says otherwise.
pub const PORT: u16 = 29500;

/// The variables, by name. Empty ones count as absent. Only what is asked for is read: a variable that
/// nothing depends on may hold anything.
pub struct Variables<F>(pub F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// Where the coordinator is, `host:port`; `None` if no variable says it.
    ///
    /// # Errors
    /// One of them holds what it cannot; the text names it. So it is for the others.
    pub fn coordinator(&self) -> Result<Option<String>, String> {
        let host = match self.first(&["MASTER_ADDR", "PET_MASTER_ADDR"]) {
            Some((_, host)) => Some(host),
            None => match self.text("PET_RDZV_ENDPOINT") {
                Some(endpoint) => return Ok(Some(with_port(&endpoint))),
                None => first_slurm_host(self)?,
            },
        };
        host.map(|host| Ok(join(&host, self.port()?))).transpose()
    }

    /// This process's name: the same after a restart, another for each process of the launcher.
    pub fn name(&self) -> Result<Option<String>, String> {
        name(self)
    }

    /// Compute threads.
    pub fn threads(&self) -> Result<Option<u16>, String> {
        let threads = self.number(&["SLURM_CPUS_PER_TASK"], 1..=1024)?;
        Ok(threads.and_then(|threads| u16::try_from(threads).ok()))
    }

    fn port(&self) -> Result<u16, String> {
        // Kubernetes sets MASTER_PORT=tcp://10.0.0.1:80 in every pod beside a Service called "master".
        let names: Vec<_> = ["MASTER_PORT", "PET_MASTER_PORT"]
            .into_iter()
            .filter(|name| self.text(name).is_some_and(|value| !value.contains("://")))
            .collect();
        let port = self.number(&names, 1..=u64::from(u16::MAX))?;
        Ok(port.and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT))
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| Some((*name, self.text(name)?)))
    }

    fn number(
        &self,
        names: &[&'static str],
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, String> {
        let Some((name, value)) = self.first(names) else { return Ok(None) };
        let number = value.parse().ok().filter(|number| range.contains(number));
        let (from, to) = (range.start(), range.end());
        number
            .map(Some)
            .ok_or_else(|| format!("{name}: found {value:?}, expected a number from {from} to {to}"))
    }
}

/// `host:port`, with the default port if none is given.
pub fn with_port(address: &str) -> String {
    let bracketed = address.ends_with(']');
    let has_port = !bracketed
        && address.rsplit_once(':').is_some_and(|(host, _)| host.ends_with(']') || !host.contains(':'));
    if has_port { address.to_owned() } else { join(address, PORT) }
}

fn join(host: &str, port: u16) -> String {
    // An IPv6 address has colons of its own.
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn first_slurm_host(
    variables: &Variables<impl Fn(&str) -> Option<String>>,
) -> Result<Option<String>, String> {
    let Some((name, list)) = variables.first(&["SLURM_JOB_NODELIST", "SLURM_NODELIST"]) else {
        return Ok(None);
    };
    let host = first_host(&list)
        .ok_or_else(|| format!("{name}: found {list:?}, expected hosts, such as n[01-04],m7"))?;
    Ok(Some(host))
}

/// The first host of a list as Slurm writes it: `n[03,01-02],m` begins with `n03`.
fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list;
    loop {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(end);
        host.push_str(plain);
        let Some(inside) = tail.strip_prefix('[') else { break };
        let (group, tail) = inside.split_once(']')?;
        let first = group.split([',', '-']).next().filter(|first| !first.is_empty())?;
        host.push_str(first);
        rest = tail;
    }
    (!host.is_empty() && !host.contains(']')).then_some(host)
}

/// A name from everything that tells this process from its siblings. A script that exports `RANK=0` for
/// all its tasks would otherwise make them one worker, and each would end the other's session.
fn name(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<Option<String>, String> {
    let any = || 0..=u64::from(u32::MAX);
    let mut parts = Vec::new();
    if let (Some(job), Some(task)) =
        (variables.text("SLURM_JOB_ID"), variables.number(&["SLURM_PROCID"], any())?)
    {
        let step = variables.text("SLURM_STEP_ID").unwrap_or_else(|| "batch".into());
        parts.push(format!("slurm-{job}.{step}-{task}"));
    }
    if let Some(index) = variables.number(&["JOB_COMPLETION_INDEX"], any())? {
        // The host name of an Indexed Job's pod ends with its index and begins with the job's name.
        let host = variables.text("HOSTNAME").filter(|host| host.ends_with(&format!("-{index}")));
        parts.push(host.unwrap_or_else(|| format!("index-{index}")));
    }
    if let Some(rank) = variables.number(&["RANK", "PET_NODE_RANK"], any())? {
        if let (Some(_), Some(size)) =
            (variables.text("RANK"), variables.number(&["WORLD_SIZE"], 1..=u64::from(u32::MAX))?)
            && rank >= size
        {
            return Err(format!("RANK: found {rank}, expected less than WORLD_SIZE, which is {size}"));
        }
        parts.push(format!("rank-{rank}"));
    }
    Ok((!parts.is_empty()).then(|| parts.join("-")))
}

#[cfg(test)]
mod tests;
