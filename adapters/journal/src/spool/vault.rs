//! Encryption at rest: AES-256-GCM under a key of its own for each value.
//!
//! Each value is sealed once, under HKDF-SHA-256(salt, key file), with a fresh random salt of 256 bits that stands before
//! it. A key that is used for a single message needs no nonce to be unique, so its nonce is zero. No counter can be set
//! back by a crash or a restored copy, and there is no number of values after which a key must be changed: two salts
//! that are alike, which alone would reuse a key, are not to be expected before 2^128 values.
//!
//! What a value is (kind, position, id, which spool) is associated data: a value that was moved to another place, or that
//! comes from another spool with the same key, is found. What is not found is an older value of the same place that
//! somebody put back: who can write the file can take it back as a whole.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::error::SpoolError;
use super::request::{Id, Position};

/// Bytes of a key file.
pub(super) const KEY_BYTES: usize = 32;

const SALT_BYTES: usize = 32;
const SPOOL_ID_BYTES: usize = 16;
const INFO: &[&[u8]] = &[b"genba spool value"];

/// What a sealed value is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Counters,
    State(Position),
    Body(Position, &'a Id),
    Result(Position, &'a Id),
}

/// Seals and opens the values of one spool.
pub(super) struct Vault {
    key: [u8; KEY_BYTES],
    spool: [u8; SPOOL_ID_BYTES],
    random: SystemRandom,
}

impl Vault {
    /// For a new spool; with the proof of the key that is to be stored in it.
    pub(super) fn create(key: [u8; KEY_BYTES]) -> Result<(Vault, Vec<u8>), SpoolError> {
        let random = SystemRandom::new();
        let mut spool = [0; SPOOL_ID_BYTES];
        random.fill(&mut spool).map_err(|_| SpoolError::Random)?;
        let vault = Vault { key, spool, random };
        let proof = vault.seal_under(PROOF, &spool)?;
        Ok((vault, proof))
    }

    /// For a spool that has this proof.
    pub(super) fn open(key: [u8; KEY_BYTES], proof: &[u8]) -> Result<Vault, SpoolError> {
        let mut vault = Vault { key, spool: [0; SPOOL_ID_BYTES], random: SystemRandom::new() };
        let spool = vault.unseal_under(PROOF, proof).ok_or(SpoolError::WrongKey)?;
        vault.spool = spool.try_into().map_err(|_| SpoolError::WrongKey)?;
        Ok(vault)
    }

    /// Whether a proof is this spool's.
    pub(super) fn is_of(&self, proof: &[u8]) -> Result<(), SpoolError> {
        let same = self.unseal_under(PROOF, proof).is_some_and(|spool| spool == self.spool);
        if same { Ok(()) } else { Err(SpoolError::WrongKey) }
    }

    pub(super) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SpoolError> {
        self.seal_under(&self.name(place), plain)
    }

    /// `None` where it was not sealed with this key for this place.
    pub(super) fn unseal(&self, place: Place<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        self.unseal_under(&self.name(place), sealed)
    }

    /// Bytes of what was sealed as so many.
    pub(super) fn plain_len(sealed: u64) -> u64 {
        sealed.saturating_sub((SALT_BYTES + AES_256_GCM.tag_len()) as u64)
    }

    fn name(&self, place: Place<'_>) -> Vec<u8> {
        let (kind, position, id) = match place {
            Place::Counters => (1, None, None),
            Place::State(position) => (2, Some(position), None),
            Place::Body(position, id) => (3, Some(position), Some(id)),
            Place::Result(position, id) => (4, Some(position), Some(id)),
        };
        // Kind and position have a fixed length and the id comes last, so no two places share a name.
        let mut name = self.spool.to_vec();
        name.push(kind);
        name.extend_from_slice(&position.map_or(0, Position::number).to_le_bytes());
        name.extend_from_slice(id.map_or("", Id::as_str).as_bytes());
        name
    }

    fn seal_under(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, SpoolError> {
        let mut salt = [0; SALT_BYTES];
        self.random.fill(&mut salt).map_err(|_| SpoolError::Random)?;
        let mut sealed = Vec::with_capacity(SALT_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(plain);
        let tag = self
            .value_key(&salt)
            .seal_in_place_separate_tag(zero(), Aad::from(name), &mut sealed[SALT_BYTES..])
            .expect("a value is shorter than the 64 GiB that AES-GCM takes");
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    fn unseal_under(&self, name: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (salt, sealed) = sealed.split_at_checked(SALT_BYTES)?;
        let mut value = sealed.to_vec();
        let plain = self.value_key(salt).open_in_place(zero(), Aad::from(name), &mut value).ok()?.len();
        value.truncate(plain);
        Some(value)
    }

    fn value_key(&self, salt: &[u8]) -> LessSafeKey {
        let secret = Salt::new(HKDF_SHA256, salt).extract(&self.key);
        let key = secret.expand(INFO, &AES_256_GCM).expect("HKDF gives up to 255 times 32 bytes, a key has 32");
        LessSafeKey::new(UnboundKey::from(key))
    }
}

const PROOF: &[u8] = b"genba spool proof of key";

/// See the module's first lines.
fn zero() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::new(text).expect("a valid id")
    }

    #[test]
    fn a_value_opens_at_its_own_place_only() {
        let (vault, proof) = Vault::create([7; KEY_BYTES]).expect("random numbers");
        let (one, two) = (id("a/1"), id("a/2"));
        let sealed = vault.seal(Place::Body(Position(1), &one), b"payload").expect("random numbers");
        assert!(!sealed.windows(7).any(|window| window == b"payload"));
        assert_eq!(Vault::plain_len(sealed.len() as u64), 7);

        let places = [
            Place::Counters,
            Place::State(Position(1)),
            Place::Body(Position(1), &two),
            Place::Body(Position(2), &one),
            Place::Result(Position(1), &one),
        ];
        for place in places {
            assert_eq!(vault.unseal(place, &sealed), None);
        }
        let again = Vault::open([7; KEY_BYTES], &proof).expect("the same key");
        assert_eq!(again.unseal(Place::Body(Position(1), &one), &sealed).as_deref(), Some(&b"payload"[..]));

        let (other, _) = Vault::create([7; KEY_BYTES]).expect("random numbers");
        assert_eq!(other.unseal(Place::Body(Position(1), &one), &sealed), None, "another spool with the same key");
        assert!(matches!(Vault::open([8; KEY_BYTES], &proof), Err(SpoolError::WrongKey)));
    }

    #[test]
    fn every_altered_or_cut_byte_is_found_and_no_two_seals_are_alike() {
        let (vault, _) = Vault::create([7; KEY_BYTES]).expect("random numbers");
        let sealed = vault.seal(Place::Counters, b"12").expect("random numbers");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(vault.unseal(Place::Counters, &altered), None, "byte {at}");
            assert_eq!(vault.unseal(Place::Counters, &sealed[..at]), None, "cut at {at}");
        }
        assert!(vault.unseal(Place::Counters, &sealed).is_some());
        assert_ne!(vault.seal(Place::Counters, b"12").expect("random numbers"), sealed);
    }
}
