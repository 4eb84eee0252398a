//! `lockstep certs`: an authority of one's own, and what it issues.
//!
//! ```text
//! DIR/ca/ca.crt, ca.key      the authority: keep it to yourself
//! DIR/ca/issued              what it has issued to whom, a fingerprint a line
//! DIR/coordinator/           ca.crt, tls.crt, tls.key, revoked
//! DIR/workers/NAME/          ca.crt, tls.crt, tls.key
//! DIR/admins/NAME/           the same, of whoever may use `lockstep stop`
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lockstep_proto::tls::{Fingerprint, Identity};

use crate::failure::Failure;
use crate::print;
use crate::security::authority::{Authority, Issued};
use crate::security::files;

/// Arguments of `lockstep certs`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an authority, a certificate for the coordinator, one for workers and one for an admin
    Init(Init),
    /// Make a certificate for another worker
    Worker(Client),
    /// Make a certificate for another admin, who may use lockstep stop
    Admin(Client),
    /// Take a worker's or an admin's certificates out of force: a running coordinator ends its connections
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Init {
    /// Where the certificates go
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A name or address by which workers reach the coordinator [default: this host's name]; localhost is
    /// always one
    #[arg(long = "name", value_name = "HOST_OR_IP")]
    names: Vec<String>,
    /// Days that certificates are good for
    #[arg(long, value_name = "N", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=3653))]
    days: u32,
    /// Keep the authority that is there, and make the coordinator's certificate anew
    #[arg(long)]
    renew: bool,
}

#[derive(Debug, Args)]
struct Client {
    /// Whom it is for; each host, team or person can have one of its own, which can be revoked alone
    #[arg(value_name = "NAME", value_parser = plain_name)]
    name: String,
    /// Where `certs init` has made the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Days that it is good for
    #[arg(long, value_name = "N", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=3653))]
    days: u32,
    /// Replace the one that is there; the old one is good until it is revoked or expires
    #[arg(long)]
    renew: bool,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Whose certificates, all that were made for the name
    #[arg(value_name = "NAME", required_unless_present = "certificate")]
    name: Option<String>,
    /// A certificate from elsewhere, as PEM
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    certificate: Option<PathBuf>,
    /// Where `certs init` has made the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Makes or revokes certificates.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Init(init) => init.run(),
        Command::Worker(client) => client.run(&WORKER),
        Command::Admin(client) => client.run(&ADMIN),
        Command::Revoke(revoke) => revoke.run(),
    }
}

impl Init {
    fn run(&self) -> Result<(), Failure> {
        let ca = self.dir.join("ca");
        let there = ca.join("ca.key").exists();
        let authority = match (there, self.renew) {
            (true, false) => {
                return Err(Failure::usage(format!(
                    "{} holds an authority already: `lockstep certs worker NAME --dir {}` makes a certificate for \
                     another worker, --renew the coordinator's anew",
                    ca.display(),
                    self.dir.display()
                )));
            }
            (true, true) => Authority::read(&ca)?,
            (false, _) => Authority::new("lockstep authority")?,
        };
        let names = self.names();
        let coordinator = authority.coordinator(&names, self.days)?;
        if !there {
            authority.write(&ca)?;
        }
        issue(&self.dir, &authority, &coordinator, "coordinator", &self.dir.join("coordinator"))?;
        print::note(format!(
            "{}: for the coordinator at {}",
            self.dir.join("coordinator").display(),
            names.join(", ")
        ));
        if !there {
            let folder = WORKER.issue(&self.dir, &authority, "worker", self.days)?;
            print::note(format!("{}: for workers", folder.display()));
            let folder = ADMIN.issue(&self.dir, &authority, "admin", self.days)?;
            print::note(format!("{}: for whoever may stop runs, by lockstep stop", folder.display()));
            print::note(format!(
                "{}: the authority; whoever has ca.key can join, so keep it to yourself",
                ca.display()
            ));
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        if names.is_empty() {
            names.extend(nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok()));
        }
        let own = ["localhost", "127.0.0.1", "::1"].map(String::from);
        for name in own {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl Client {
    fn run(&self, role: &Role) -> Result<(), Failure> {
        let authority = Authority::read(&self.dir.join("ca"))?;
        let folder = role.folder(&self.dir, &self.name);
        if folder.join("tls.crt").exists() && !self.renew {
            return Err(Failure::usage(format!(
                "{} is there already: --renew replaces it",
                folder.display()
            )));
        }
        role.issue(&self.dir, &authority, &self.name, self.days)?;
        print::note(format!("{}: {}", folder.display(), role.what));
        Ok(())
    }
}

/// What a certificate makes of its owner.
struct Role {
    /// Where such certificates stand.
    folder: &'static str,
    what: &'static str,
    make: fn(&Authority, &str, u32) -> Result<Issued, Failure>,
}

const WORKER: Role =
    Role { folder: "workers", what: "for the worker, which takes it by --certs", make: Authority::worker };

const ADMIN: Role =
    Role { folder: "admins", what: "for lockstep stop, which takes it by --certs", make: Authority::admin };

impl Role {
    fn folder(&self, dir: &Path, name: &str) -> PathBuf {
        dir.join(self.folder).join(name)
    }

    /// Returns where the certificate is.
    fn issue(&self, dir: &Path, authority: &Authority, name: &str, days: u32) -> Result<PathBuf, Failure> {
        let folder = self.folder(dir, name);
        issue(dir, authority, &(self.make)(authority, name, days)?, name, &folder)?;
        Ok(folder)
    }
}

impl Revoke {
    fn run(&self) -> Result<(), Failure> {
        let issued = self.dir.join("ca/issued");
        let (name, out): (String, Vec<String>) = match (&self.certificate, &self.name) {
            (Some(file), _) => {
                let fingerprint = Identity::fingerprint(file).map_err(Failure::usage)?;
                (file.display().to_string(), vec![fingerprint.to_string()])
            }
            (None, Some(name)) if name == "coordinator" => return Err(Failure::usage(COORDINATOR)),
            (None, Some(name)) => (name.clone(), of(&files::read(&issued)?, name)),
            (None, None) => return Err(Failure::usage("a NAME, or --certificate FILE")),
        };
        if out.is_empty() {
            return Err(Failure::usage(format!(
                "{}: no certificate was made for {name:?}",
                issued.display()
            )));
        }
        let path = self.dir.join("coordinator/revoked");
        let text = if path.exists() { files::read(&path)? } else { String::new() };
        let Some(text) = with_entries(text, &out, &name) else {
            print::note(format!("{name} is revoked already"));
            return Ok(());
        };
        files::write(&path, files::PUBLIC, &text)?;
        print::note(format!(
            "{name} is revoked in {}: a coordinator that runs on this folder ends its connections within a moment; \
             copies of the folder need the file too",
            path.display()
        ));
        Ok(())
    }
}

const COORDINATOR: &str = "the coordinator's certificate cannot be revoked: workers do not read this list; make a \
                           new authority (certs init in another folder), and give workers its certificates";

/// The list with these fingerprints too; `None` if all are there. What somebody wrote into it by hand stays
/// as it is.
fn with_entries(mut list: String, fingerprints: &[String], name: &str) -> Option<String> {
    let entry = |line: &str| line.split('#').next().and_then(|entry| entry.parse::<Fingerprint>().ok());
    let there: BTreeSet<String> = list.lines().filter_map(entry).map(|one| one.to_string()).collect();
    let before = list.len();
    for fingerprint in fingerprints.iter().filter(|one| !there.contains(*one)) {
        if !list.is_empty() && !list.ends_with('\n') {
            list.push('\n');
        }
        list += &format!("{fingerprint}  # {name}\n");
    }
    (list.len() > before).then_some(list)
}

/// Writes a certificate and remembers to whom it went.
fn issue(
    dir: &Path,
    authority: &Authority,
    issued: &Issued,
    name: &str,
    folder: &Path,
) -> Result<(), Failure> {
    issued.write(folder, authority)?;
    let fingerprint: Fingerprint = Identity::fingerprint(&folder.join("tls.crt")).map_err(Failure::failed)?;
    let path = dir.join("ca/issued");
    let text = if path.exists() { files::read(&path)? } else { String::new() };
    files::write(&path, files::PUBLIC, &format!("{text}{fingerprint} {name}\n"))
}

/// Fingerprints of all that was issued to a name.
fn of(issued: &str, name: &str) -> Vec<String> {
    let lines = issued.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, to)| *to == name).map(|(fingerprint, _)| fingerprint.to_owned()).collect()
}

/// A name that is a folder's, and nothing else.
fn plain_name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain = (1..=64).contains(&text.len()) && text.chars().all(fine) && !text.starts_with('.');
    if plain && text != "coordinator" {
        return Ok(text.to_owned());
    }
    Err("letters, digits, dots, dashes and underscores, and not \"coordinator\"".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::{Fingerprint, with_entries};

    #[test]
    fn an_entry_has_a_line_of_its_own_and_is_there_once() {
        let [one, two] = ["one", "two"].map(|text| Fingerprint::of(text.as_bytes()).to_string());
        let out = std::slice::from_ref(&one);
        let first = with_entries(String::new(), out, "w").unwrap();
        assert_eq!(first, format!("{one}  # w\n"));
        assert_eq!(with_entries(first, out, "w"), None);
        // Somebody's editor left no newline at the end.
        let by_hand = format!("# ours\nsha256 Fingerprint={}", two[7..].to_ascii_uppercase());
        let both = with_entries(by_hand.clone(), &[one.clone(), two], "w").unwrap();
        assert_eq!(both, format!("{by_hand}\n{one}  # w\n"));
        // A line that is commented out revokes nothing.
        let out_of_force = format!("# {one}\n");
        assert!(with_entries(out_of_force, out, "w").unwrap().ends_with(&format!("\n{one}  # w\n")));
    }
}
