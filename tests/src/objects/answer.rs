//! What is answered when nothing goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::KEY;
use super::request::Request;

/// A status, headers and a body.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn to(request: &Request, objects: &BTreeMap<String, Vec<u8>>) -> Self {
        let (bucket, _) = request.path.split_once('/').unwrap_or((&request.path, ""));
        let allowed =
            request.header("authorization").is_some_and(|by| by.contains(&format!("Credential={KEY}/")));
        if bucket != "web" && !allowed {
            return Self::error(403, "InvalidAccessKeyId");
        }
        if !objects.keys().any(|name| name.split('/').next() == Some(bucket)) {
            return Self::error(404, "NoSuchBucket");
        }
        if request.listing() {
            return Self::listing(bucket, request, objects);
        }
        let Some(object) = objects.get(&request.path) else { return Self::error(404, "NoSuchKey") };
        let tag = format!("\"{:02x?}\"", Sha256::digest(object).iter().take(4).collect::<Vec<_>>())
            .replace(['[', ']', ',', ' '], "");
        if request.header("if-match").is_some_and(|wanted| wanted != tag) {
            return Self::error(412, "PreconditionFailed");
        }
        let mut headers = format!(
            "ETag: {tag}\r\nLast-Modified: Wed, 01 May 2024 08:00:00 GMT\r\nAccept-Ranges: bytes\r\n"
        );
        match request.range(object.len()) {
            Some(range) => {
                let (first, last, all) = (range.start, range.end - 1, object.len());
                write!(headers, "Content-Range: bytes {first}-{last}/{all}\r\n").unwrap();
                Self { status: 206, headers, body: object[range].to_vec() }
            }
            None => Self { status: 200, headers, body: object.clone() },
        }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
        Self { status, headers: "Content-Type: application/xml\r\n".into(), body: body.into() }
    }

    /// Two objects a page, so that there are several.
    fn listing(bucket: &str, request: &Request, objects: &BTreeMap<String, Vec<u8>>) -> Self {
        let given = |name: &str| request.query.get(name).map(String::as_str).unwrap_or_default();
        let (prefix, after) = (given("prefix"), given("continuation-token"));
        let keys = objects.iter().filter_map(|(name, object)| {
            let key = name.strip_prefix(bucket)?.strip_prefix('/')?;
            (key.starts_with(prefix) && key > after).then_some((key, object.len()))
        });
        let (mut contents, mut folders, mut last, mut more) = (String::new(), BTreeSet::new(), "", false);
        let mut count = 0;
        for (key, length) in keys {
            if count == 2 {
                more = true;
                break;
            }
            last = key;
            if let Some((folder, _)) =
                key[prefix.len()..].split_once('/').filter(|_| !given("delimiter").is_empty())
            {
                folders.insert(format!("{prefix}{folder}/"));
                continue;
            }
            count += 1;
            write!(
                contents,
                "<Contents><Key>{key}</Key><LastModified>2024-05-01T08:00:00.000Z</LastModified>\
                 <Size>{length}</Size></Contents>"
            )
            .unwrap();
        }
        for folder in folders {
            write!(contents, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>").unwrap();
        }
        let token = if more {
            format!("<NextContinuationToken>{last}</NextContinuationToken>")
        } else {
            String::new()
        };
        let body = format!(
            "<?xml version=\"1.0\"?><ListBucketResult><Name>{bucket}</Name><IsTruncated>{more}</IsTruncated>\
             {token}{contents}</ListBucketResult>"
        );
        Self { status: 200, headers: "Content-Type: application/xml\r\n".into(), body: body.into() }
    }

    pub(super) fn head(&self) -> String {
        let Self { status, headers, body } = self;
        format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n", body.len())
    }
}
