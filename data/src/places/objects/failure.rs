//! What went wrong with an object, and what to do.

use object_store::Error;

use super::url::{Kind, Url};
use crate::{DataError, Wrong};

const STORE: &str = "objects";

pub(super) fn generic(why: String) -> Error {
    Error::Generic { store: STORE, source: why.into() }
}

pub(super) fn cut_off(found: u64, expected: u64) -> Error {
    generic(format!("the body was cut off again and again: {found} bytes of {expected} came"))
}

/// A store cannot be made of what the environment says.
pub(super) fn configuration(url: &Url, error: &Error) -> DataError {
    let hint = match url.kind {
        Kind::S3 => "; look at the environment variables AWS_*",
        Kind::Google => "; look at the environment variables GOOGLE_*",
        Kind::Azure => "; AZURE_STORAGE_ACCOUNT_NAME must be set",
        Kind::Web => "",
    };
    wrong(url, format!("{}{hint}", innermost(error)))
}

/// In words: what is missing, what was refused, what never came.
pub(super) fn explained(url: &Url, error: &Error) -> DataError {
    let cause = innermost(error);
    let all = chain(error);
    match error {
        Error::NotFound { .. } => super::list::missing(url),
        Error::Precondition { .. } => DataError::whole(url.to_string(), Wrong::Replaced),
        _ if refused(error, &all) => {
            wrong(url, format!("access was refused ({}); {}", code(&all), credentials(url.kind)))
        }
        _ if no_bucket(error) => wrong(url, bucket(url)),
        _ if all.contains("169.254.169.254")
            || all.contains("metadata.google")
            || all.contains("/metadata/") =>
        {
            wrong(url, format!("no credentials were found; {}", credentials(url.kind)))
        }
        _ => wrong(url, format!("gave up after several attempts: {cause}")),
    }
}

pub(super) fn wrong(url: &Url, why: String) -> DataError {
    DataError::whole(url.to_string(), Wrong::Object(why))
}

/// Of a listing, refusals are told in words only.
fn refused(error: &Error, all: &str) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
        || all.contains("403 Forbidden")
        || all.contains("401 Unauthorized")
}

/// Of a listing: an object that is not there is none of its failures.
pub(super) fn no_bucket(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) || chain(error).contains("NoSuchBucket")
}

pub(super) fn bucket(url: &Url) -> String {
    format!("there is no bucket {:?}", url.authority)
}

fn credentials(kind: Kind) -> &'static str {
    match kind {
        Kind::S3 => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT_URL), or \
             AWS_SKIP_SIGNATURE=true for public data"
        }
        Kind::Google => "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for public data",
        Kind::Azure => {
            "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_SKIP_SIGNATURE=true for \
             public data"
        }
        Kind::Web => "the server wants what cannot be sent from here",
    }
}

/// A server's own word for it, such as `SignatureDoesNotMatch`.
fn code(text: &str) -> &str {
    let named = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    named.map_or("403", |(code, _)| code)
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text += "\n";
        text += &cause.to_string();
        next = cause.source();
    }
    text
}

/// The cause of causes: what wraps it says it again.
fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
