//! What is said of credentials before anything is connected: no test here has a server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{SystemTime, UNIX_EPOCH},
};

use cluster_link::{CredentialsError, IdentityError, Inspection, Mutual, Security};
use rcgen::ExtendedKeyUsagePurpose;

use crate::pki::{Ca, Files, Leaf};

const BOX: &str = "spiffe://factory.jp/box/cell-1";

fn mutual(files: &Files) -> Mutual {
    let Security::Mutual(mutual) = files.security() else { panic!("by certificates") };
    mutual
}

fn inspected(files: &Files) -> Inspection {
    mutual(files).inspect()
}

/// Files whose certificate says this.
fn saying(leaf: &Leaf) -> Files {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let (certificate, key) = ca.issue(leaf);
    fs::write(files.path("box.pem"), certificate).expect("written");
    fs::write(files.path("box.key"), key).expect("written");
    files
}

fn client() -> Leaf {
    Leaf { uris: vec![BOX], usages: vec![ExtendedKeyUsagePurpose::ClientAuth], ..Leaf::default() }
}

fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    i64::try_from(now).expect("before the year 292 billion")
}

#[test]
fn good_credentials_say_who_the_box_is_and_until_when() {
    let files = saying(&client());
    fs::set_permissions(files.path("box.key"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let found = inspected(&files);
    assert_eq!((found.pair, found.exposed), (Ok(()), None));
    assert_eq!(found.ca.expect("it can be read").len(), 1);
    let own = found.own.expect("it can be read");
    assert_eq!(own.uri, Ok(BOX.to_owned()));
    assert!(own.is_for_clients && own.is_of_pinned_ca);
    let (from, until) = (own.validity.from_s - now_s(), own.validity.until_s - now_s());
    assert!((-3_700..=-3_500).contains(&from) && (3_500..=3_700).contains(&until), "{:?}", own.validity);
}

#[test]
fn an_expired_certificate_is_still_read_and_its_issuer_still_told() {
    let found = inspected(&saying(&Leaf { valid: (-7_200, -3_600), ..client() }));
    let own = found.own.expect("it can be read");
    assert!(own.validity.until_s < now_s());
    assert!(own.is_of_pinned_ca, "its time is another question");
}

#[test]
fn a_key_that_others_may_read_is_told() {
    let files = saying(&client());
    fs::set_permissions(files.path("box.key"), fs::Permissions::from_mode(0o640)).expect("it is ours");
    assert_eq!(inspected(&files).exposed, Some(0o640));
}

#[test]
fn what_servers_would_refuse_is_told() {
    let of_another = {
        let files = Files::new(&Ca::new(), &Ca::new());
        inspected(&files).own.expect("it can be read")
    };
    assert!(!of_another.is_of_pinned_ca);
    let server = Leaf { usages: vec![ExtendedKeyUsagePurpose::ServerAuth], ..client() };
    assert!(!inspected(&saying(&server)).own.expect("it can be read").is_for_clients);
    let nobody = Leaf { uris: vec![], ..client() };
    assert_eq!(inspected(&saying(&nobody)).own.expect("it can be read").uri, Err(IdentityError::NoUri));
    let two = Leaf { uris: vec![BOX, "spiffe://factory.jp/box/cell-2"], ..client() };
    assert_eq!(inspected(&saying(&two)).own.expect("it can be read").uri, Err(IdentityError::SeveralUris(2)));
}

#[test]
fn what_is_missing_wrong_or_another_pairs_is_told_file_by_file() {
    let files = saying(&client());
    let (_, key) = Ca::new().issue(&client());
    fs::write(files.path("box.key"), key).expect("written");
    fs::write(files.path("ca.pem"), "no certificate").expect("written");
    let found = inspected(&files);
    assert!(matches!(found.pair, Err(CredentialsError::Mismatch(_))), "{:?}", found.pair);
    assert!(matches!(found.ca, Err(CredentialsError::Pem { .. })), "{:?}", found.ca);
    assert!(!found.own.expect("it can be read all the same").is_of_pinned_ca);

    fs::remove_file(files.path("box.key")).expect("it is there");
    fs::remove_file(files.path("box.pem")).expect("it is there");
    let found = inspected(&files);
    assert!(matches!(found.own, Err(CredentialsError::File { .. })), "{:?}", found.own);
    assert!(matches!(found.pair, Err(CredentialsError::File { .. })), "{:?}", found.pair);
    assert_eq!(found.exposed, None);
}
