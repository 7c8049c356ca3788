//! The box's own key: Ed25519, made at the first start, kept in a file that nobody else may read.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

use super::hex::{Hash, Hex, Signature};
use super::record::{Head, Recovered};

/// Signs what the box says of its journal.
pub struct BoxKey {
    pair: Ed25519KeyPair,
}

/// Checks what a box has signed. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub Hash);

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the journal's key {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There are records, and no key that could have signed them.
    #[error(
        "the journal's key {} is missing, and there are records that it signed: restore it, or put the journal and \
         its anchors aside and keep them; a new chain then begins with a new key",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the key.
    #[error("the journal's key {} may be read by others (mode {mode:04o}): chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no Ed25519 key.
    #[error("{} holds no Ed25519 key as PKCS #8", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers to make a key of")]
    Random,
}

impl BoxKey {
    /// Reads the key. If there is none yet and `may_create`, makes one, with its public half beside it as `NAME.pub`.
    ///
    /// # Errors
    ///
    /// Every [`KeyError`].
    pub fn load(path: &Path, may_create: bool) -> Result<Self, KeyError> {
        let key = match Self::read(path) {
            Err(KeyError::Missing { .. }) if may_create => {
                let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
                let failed = |source| KeyError::File { path: path.to_owned(), source };
                create(path, document.as_ref()).map_err(failed)?;
                Self::read(path)?
            }
            read => read?,
        };
        let public = path.with_added_extension("pub");
        let text = format!("{}\n", key.public().0);
        if fs::read(&public).ok().as_deref() != Some(text.as_bytes()) {
            fs::write(&public, text).map_err(|source| KeyError::File { path: public, source })?;
        }
        Ok(key)
    }

    /// Reads the key and changes nothing.
    ///
    /// # Errors
    ///
    /// Every [`KeyError`] but [`KeyError::Random`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        match fs::metadata(path) {
            Ok(found) if found.mode() & 0o077 != 0 => {
                return Err(KeyError::Open { path: path.to_owned(), mode: found.mode() & 0o7777 });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        }
        let document = fs::read(path).map_err(failed)?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| KeyError::Form { path: path.to_owned() })?;
        Ok(Self { pair })
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(Hex(bytes))
    }

    pub(super) fn sign(&self, text: &str) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        Hex(bytes)
    }
}

impl PublicKey {
    /// Reads the file that stands beside the key.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        let key = Hash::parse(text.trim_ascii()).ok_or_else(|| KeyError::Form { path: path.to_owned() })?;
        Ok(Self(key))
    }

    pub(super) fn signed(self, text: &str, signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0.0).verify(text.as_bytes(), &signature.0).is_ok()
    }
}

/// What is signed of a head. The box's name is without a line break, so one text says one thing.
pub(super) fn head_text(box_id: &str, of: u64, hash: Hash) -> String {
    format!("genba journal head\nbox {box_id}\nrecord {of}\nhash {hash}\n")
}

/// What is signed of a cut.
pub(super) fn recovered_text(recovered: &Recovered) -> String {
    let Recovered { box_id, file, after, hash, bytes, cut_sha256, .. } = recovered;
    let bytes = bytes.map_or("unknown".to_owned(), |bytes| bytes.to_string());
    let cut = cut_sha256.map_or("unknown".to_owned(), |hash| hash.to_string());
    format!(
        "genba journal recovered\nbox {box_id}\nfile {file}\nafter {after}\nhash {hash}\nbytes {bytes}\ncut {cut}\n"
    )
}

pub(super) fn signed_head(key: &BoxKey, box_id: &str, of: u64, hash: Hash) -> Head {
    Head { of, hash, signature: key.sign(&head_text(box_id, of, hash)) }
}

fn create(path: &Path, document: &[u8]) -> io::Result<()> {
    // Under another name first: a key cut short by a full disk must never be taken for the key.
    let part = path.with_added_extension("part");
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(document)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    super::files::sync_folder(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("box.key");
        assert!(matches!(BoxKey::load(&path, false), Err(KeyError::Missing { .. })));
        assert!(matches!(BoxKey::read(&path), Err(KeyError::Missing { .. })));
        assert!(!path.exists(), "reading makes none");

        let key = BoxKey::load(&path, true).expect("a new key");
        assert_eq!(fs::metadata(&path).expect("the key's file").mode() & 0o777, 0o600);
        let again = BoxKey::load(&path, true).expect("the same key");
        assert_eq!(key.public(), again.public());
        assert_eq!(BoxKey::read(&path).expect("the same key").public(), key.public());
        assert_eq!(PublicKey::load(&folder.path().join("box.key.pub")).expect("its public half"), key.public());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("the mode is changed");
        assert!(matches!(BoxKey::load(&path, true), Err(KeyError::Open { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the mode is changed");
        fs::write(&path, b"something else").expect("the file is written");
        assert!(matches!(BoxKey::load(&path, true), Err(KeyError::Form { .. })));
    }

    #[test]
    fn a_signature_is_of_one_text_and_one_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = BoxKey::load(&folder.path().join("one"), true).expect("a key");
        let other = BoxKey::load(&folder.path().join("other"), true).expect("a key");
        let signature = one.sign("this");
        assert!(one.public().signed("this", &signature));
        assert!(!one.public().signed("that", &signature));
        assert!(!other.public().signed("this", &signature));
    }
}
