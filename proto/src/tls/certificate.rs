//! What a certificate says of itself.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Fingerprint;

/// The URI in the subject alternative name by which a certificate is an admin's. A URI, since whatever
/// issues certificates can write one; an extended key usage of our own is beyond some.
pub const ADMIN: &str = "urn:lockstep:admin";

/// What a certificate says. Whether it is to be believed is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Of its DER.
    pub fingerprint: Fingerprint,
    /// Whom it is for.
    pub subject: String,
    /// Names and addresses that it is good for.
    pub names: Vec<String>,
    /// May be a coordinator's: it names the extended key usage serverAuth.
    pub coordinator: bool,
    /// May be a worker's: it names clientAuth, and is not an admin's.
    pub worker: bool,
    /// Is an admin's: it names clientAuth, and [`ADMIN`] among its names.
    pub admin: bool,
    /// Seconds since 1970, and the date for people.
    from: (i64, String),
    until: (i64, String),
}

impl Certificate {
    /// Out of its DER.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let names = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let named_admin = names.iter().any(|name| matches!(name, GeneralName::URI(ADMIN)));
        // Usages must be named: a certificate that names none is good for every role, so for neither.
        let usages = parsed.extended_key_usage().map_err(|error| error.to_string())?;
        let usages = usages.map(|usages| (usages.value.server_auth, usages.value.client_auth));
        let (coordinator, client) = usages.unwrap_or((false, false));
        let date =
            |time: x509_parser::time::ASN1Time| (time.timestamp(), time.to_datetime().date().to_string());
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            subject: parsed.subject().to_string(),
            names: names.iter().filter_map(name).collect(),
            coordinator,
            worker: client && !named_admin,
            admin: client && named_admin,
            from: date(parsed.validity().not_before),
            until: date(parsed.validity().not_after),
        })
    }

    /// Its first and last day.
    pub fn dates(&self) -> String {
        format!("valid from {} to {}", self.from.1, self.until.1)
    }

    /// Whether it is valid by this machine's clock.
    pub fn is_current(&self) -> bool {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        (self.from.0..=self.until.0).contains(&now)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
