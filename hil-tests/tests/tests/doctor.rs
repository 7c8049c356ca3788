//! What `genba doctor` says of hand-offs: by the files that they go by, and without a word to anybody.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;
use tests::{Authority, Identity, TRITON, cluster_section, command, home_policy, repository};

const BOX: &str = "spiffe://factory.jp/box/cell-1";

/// A box with a model of its own and one that the cluster `tokyo` has, in a folder where the binary is run.
struct Desk {
    folder: TempDir,
    authority: Authority,
    /// The cluster's only endpoint: whoever connects is seen.
    cluster: TcpListener,
}

impl Desk {
    /// Its certificate is the first authority's, which is the pinned one.
    fn new(identity: impl FnOnce(&Authority) -> Identity) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let (source, target) = (repository().join("models/ur5e-conveyor"), folder.path().join("model"));
        fs::create_dir(&target).expect("the temporary folder can be written");
        for file in ["model.toml", "model.onnx", "golden.json"] {
            fs::copy(source.join(file), target.join(file)).expect("the model can be copied");
        }
        let cluster = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        cluster.set_nonblocking(true).expect("a socket of ours");
        let this = Self { folder, authority: Authority::new("jp"), cluster };
        fs::copy(this.authority.certificate(), this.at("ca.pem")).expect("written");
        this.take(&identity(&this.authority));
        fs::write(this.at("policy.toml"), home_policy(&[("synthetic", "public")])).expect("written");
        let files = Identity { certificate: "box.pem".into(), key: "box.key".into() };
        let endpoint = this.cluster.local_addr().expect("it is bound").to_string();
        let section = cluster_section(&[endpoint], &["far"], (&this.authority, &files), (1000, 500));
        let pinned = this.authority.certificate().display().to_string();
        this.configure(&section.replace(&pinned, "ca.pem"));
        this
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn take(&self, identity: &Identity) {
        fs::copy(&identity.certificate, self.at("box.pem")).expect("written");
        fs::copy(&identity.key, self.at("box.key")).expect("written");
        fs::set_permissions(self.at("box.key"), Permissions::from_mode(0o600)).expect("ours");
    }

    fn configure(&self, section: &str) {
        let head = "[box]\nname = \"box\"\nkey_prefix = \"test/cell\"\n[link]\nlisten = [\"tcp/127.0.0.1:0\"]\n";
        let models = "[[model]]\nname = \"near\"\nfolder = \"model\"\n[[model]]\nname = \"far\"\nfolder = \"model\"\n";
        let task = "[[worker]]\nname = \"first\"\n[[task]]\nname = \"track\"\nmodel = \"near\"\ndeadline_us = 200000\n\
                    hold_ms = 250\nrobots = [{ name = \"left\" }]\nmin_period_us = 2000\n";
        let spool = "[spool]\nfolder = \"spool\"\n";
        fs::write(self.at("box.toml"), format!("{head}{models}{section}{spool}{task}")).expect("written");
    }

    /// Changes one thing in the config.
    fn reconfigure(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.at("box.toml")).expect("it is there");
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(self.at("box.toml"), text.replace(from, to)).expect("written");
    }

    fn run(&self, arguments: &[&str], code: i32) -> String {
        let mut genba = command();
        genba.args(["doctor", "--config", "box.toml"]).args(arguments).current_dir(self.folder.path());
        let said = genba.env("NO_COLOR", "1").output().expect("genba runs");
        let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert_eq!(said.status.code(), Some(code), "{out}{error}");
        let asked = self.cluster.accept().map(|(_, who)| who);
        assert!(asked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "somebody connected to the cluster");
        out.into_owned()
    }

    /// What is said of hand-offs, and in the end.
    fn diagnosis(&self, code: i32) -> String {
        let text = self.run(&[], code);
        let begins = text.find("cluster ").unwrap_or_else(|| panic!("no cluster in {text}"));
        let endpoint = self.cluster.local_addr().expect("it is bound").to_string();
        text[begins..].replace(&endpoint, "ENDPOINT")
    }
}

#[test]
fn good_files_are_told_and_nobody_is_asked() {
    assert_snapshot!(Desk::new(|authority| authority.client(BOX)).diagnosis(0), @r"
    cluster   tokyo in jp, by mutual TLS, at ENDPOINT; nothing was sent
              this box is spiffe://factory.jp/box/cell-1: box.pem, until 2554 or later
              its CA, and no other: ca.pem, until 2554 or later
              its servers are spiffe://factory.jp/gpu/triton
    policy    policy.toml: version 1, home jp
    journal   journal is made at the first start
              its key journal/box.key is made at the first start
    spool     spool/spool.redb is made at the first start
              its key spool/spool.key is made at the first start
    good
    ");
}

#[test]
fn a_certificate_that_ends_soon_is_good_until_then() {
    let told = Desk::new(|authority| authority.client_for_days(BOX, 12)).diagnosis(0);
    let mut said = told.lines().skip_while(|line| !line.contains("warning: certificate: box.pem ends on "));
    assert!(said.nth(1).is_some_and(|line| line.contains("renew it: ")), "{told}");
    assert!(!told.contains(" bad: ") && told.ends_with("good\n"), "{told}");
}

/// All that a person may get wrong about the files at once.
#[test]
fn what_is_over_missing_exposed_or_of_another_is_bad() {
    let desk = Desk::new(|authority| authority.expired_client(BOX));
    fs::set_permissions(desk.at("box.key"), Permissions::from_mode(0o644)).expect("ours");
    fs::write(desk.at("policy.toml"), home_policy(&[]).replace("tokyo", "osaka")).expect("written");
    fs::write(desk.at("journal"), "no folder").expect("written");
    fs::create_dir(desk.at("spool")).expect("written");
    fs::write(desk.at("spool/spool.redb"), "stored").expect("written");
    assert_snapshot!(desk.diagnosis(1), @r"
    cluster   tokyo in jp, by mutual TLS, at ENDPOINT; nothing was sent
              this box is spiffe://factory.jp/box/cell-1: box.pem, until 2021-01-01T00:00:00Z
              its CA, and no other: ca.pem, until 2554 or later
              its servers are spiffe://factory.jp/gpu/triton
              bad: the policy lists no cluster tokyo in jp
                list it there if it stands there; until then nothing may go to it
              bad: certificate: box.pem is over since 2021-01-01T00:00:00Z
                renew it: the box reads the new file at its next connection, without a restart
              warning: key: box.key may be read by others (mode 644)
                chmod 600 it, and replace it if somebody may have read it
    policy    policy.toml: version 1, home jp
    journal   journal cannot be used
              its key journal/box.key cannot be used
              bad: journal is no folder
                nothing leaves the box without a record: give the folder to the user that the box runs as, or name another one
              bad: the journal's key journal/box.key: Not a directory (os error 20)
                until then the box does not start
    spool     spool/spool.redb is there
              its key spool/spool.key cannot be used
              bad: the key spool/spool.key of the spool spool/spool.redb is missing; restore it, or move the spool away to begin a new one: without its key nothing in it can be read
                until then the box does not start
    bad       something is missing or wrong
    ");

    let other = Authority::new("other");
    fs::copy(other.client(BOX).key, desk.at("box.key")).expect("written");
    fs::remove_file(desk.at("ca.pem")).expect("it is there");
    fs::remove_file(desk.at("policy.toml")).expect("it is there");
    let told = desk.diagnosis(1);
    for says in ["bad: key: `certificate` and `key` do not fit", "bad: ca: ca.pem: ", "bad: cannot read the policy"] {
        assert!(told.contains(says), "{says:?} is not in\n{told}");
    }
}

#[test]
fn an_insecure_cluster_is_called_that() {
    let desk = Desk::new(|authority| authority.client(BOX));
    desk.reconfigure("ca = \"ca.pem\"\ncertificate = \"box.pem\"\nkey = \"box.key\"\n", "insecure = true\n");
    desk.reconfigure(&format!("spiffe_ids = [\"{TRITON}\"]\n"), "");
    let told = desk.diagnosis(0);
    assert!(told.starts_with("cluster   tokyo in jp, INSECURE: in plain text, nobody proves anything, at "), "{told}");
    assert!(told.contains("\n          warning: E-512 "), "{told}");
}

#[test]
fn the_same_for_programs() {
    let desk = Desk::new(|authority| authority.client_for_days(BOX, 12));
    let found: Value = serde_json::from_str(&desk.run(&["--json"], 0)).expect("it is JSON and nothing else");
    let cluster = &found["ways_out"]["clusters"][0];
    assert_eq!((&cluster["cluster"], &cluster["insecure"]), (&"tokyo".into(), &false.into()));
    assert_eq!((&cluster["identity"]["spiffe_id"], &cluster["identity"]["allowed"][0]), (&BOX.into(), &TRITON.into()));
    assert_eq!(cluster["remarks"][0]["grade"], "warning");
    assert_eq!((&found["ways_out"]["policy"]["version"], &found["good"]), (&1.into(), &true.into()));
    assert_eq!(found["ways_out"]["journal"]["key_state"], "to-be-made");
    assert!(!desk.at("journal").exists() && !desk.at("spool").exists(), "nothing was made");
}
