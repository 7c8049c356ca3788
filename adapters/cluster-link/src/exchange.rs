//! One call: headers and a body that is already encoded go out, one message comes back. It is written out here, and not
//! taken from a gRPC library, because the bytes must be those whose digest was recorded, and each fault its own error.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, TE},
};

use crate::{
    error::{BadAnswer, Code, Failure},
    identity::shown,
    wire::PREFIX,
};

/// The call's request.
pub(crate) fn request(uri: Uri, deadline: Instant, body: Bytes) -> Request<Full<Bytes>> {
    let left = deadline.saturating_duration_since(Instant::now());
    Request::post(uri)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header("grpc-timeout", timeout(left))
        .body(Full::new(body))
        .expect("each of these is a header")
}

/// At most eight digits and a unit.
fn timeout(left: Duration) -> String {
    let micros = left.as_micros();
    if micros < 100_000_000 { format!("{micros}u") } else { format!("{}m", left.as_millis().min(99_999_999)) }
}

/// The one message of an answer, at most `most` bytes of it.
///
/// # Errors
/// What the server answered instead.
pub(crate) async fn message(response: Response<Incoming>, most: usize) -> Result<Bytes, Failure> {
    let status = response.status();
    if status.is_redirection() {
        return Err(Failure::Redirect(status.as_u16()));
    }
    if status.as_u16() != 200 {
        return Err(Failure::Http(status.as_u16()));
    }
    let (head, mut body) = response.into_parts();
    if !head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Err(Failure::NotGrpc);
    }
    let mut said = said(&head.headers)?;
    let mut received = Received::new(most);
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| Failure::Lost)?.into_data() {
            Ok(data) => received.push(&data)?,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    said = said.or(self::said(&trailers)?);
                }
            }
        }
    }
    match said {
        Some(()) => Ok(received.whole()?),
        None => Err(BadAnswer::Framing.into()),
    }
}

/// Whether these headers hold a status, and it is OK.
fn said(headers: &HeaderMap) -> Result<Option<()>, Failure> {
    let Some(status) = headers.get("grpc-status") else { return Ok(None) };
    let status = status.to_str().ok().and_then(|status| status.parse().ok()).ok_or(Failure::NotGrpc)?;
    if status == 0 {
        return Ok(Some(()));
    }
    let said = headers.get("grpc-message").map(|message| decoded(message.as_bytes())).unwrap_or_default();
    Err(Failure::Status { code: Code::numbered(status), said: shown(&said).into() })
}

/// gRPC writes what is not printable as `%` and two digits.
fn decoded(message: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message;
    while let [first, behind @ ..] = rest {
        let escaped =
            behind.first_chunk::<2>().and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let (b'%', Some(byte)) = (first, escaped) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What came of an answer so far. Memory is taken for what came, and only if what was announced is allowed.
struct Received {
    most: usize,
    bytes: Vec<u8>,
}

impl Received {
    fn new(most: usize) -> Self {
        Self { most, bytes: Vec::new() }
    }

    fn push(&mut self, mut data: &[u8]) -> Result<(), BadAnswer> {
        if self.bytes.len() < PREFIX {
            let (head, rest) = data.split_at(data.len().min(PREFIX - self.bytes.len()));
            self.bytes.extend(head);
            data = rest;
        }
        let Some(announced) = self.announced()? else { return Ok(()) };
        if data.len() > PREFIX + announced - self.bytes.len() {
            return Err(BadAnswer::Framing);
        }
        self.bytes.extend(data);
        Ok(())
    }

    fn announced(&self) -> Result<Option<usize>, BadAnswer> {
        let Some([compressed, length @ ..]) = self.bytes.first_chunk::<PREFIX>() else { return Ok(None) };
        if *compressed != 0 {
            return Err(BadAnswer::Framing);
        }
        let announced = u32::from_be_bytes(*length);
        let length = usize::try_from(announced).ok().filter(|length| *length <= self.most);
        length.map(Some).ok_or(BadAnswer::TooLong { announced: announced.into(), most: self.most })
    }

    fn whole(self) -> Result<Bytes, BadAnswer> {
        match self.announced()? {
            Some(length) if self.bytes.len() == PREFIX + length => Ok(Bytes::from(self.bytes).slice(PREFIX..)),
            Some(_) | None => Err(BadAnswer::Framing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(parts: &[&[u8]]) -> Result<Bytes, BadAnswer> {
        let mut received = Received::new(4);
        for part in parts {
            received.push(part)?;
        }
        received.whole()
    }

    #[test]
    fn a_message_is_whole_however_it_was_cut() {
        let frame = [0, 0, 0, 0, 3, 7, 8, 9];
        for first in 0..=frame.len() {
            for second in first..=frame.len() {
                let parts = [&frame[..first], &frame[first..second], &frame[second..]];
                assert_eq!(received(&parts).as_deref(), Ok(&[7, 8, 9][..]), "{first} {second}");
            }
        }
    }

    #[test]
    fn what_is_not_one_message_is_refused() {
        assert_eq!(received(&[]), Err(BadAnswer::Framing), "nothing");
        assert_eq!(received(&[&[0, 0, 0, 0]]), Err(BadAnswer::Framing), "cut in its prefix");
        assert_eq!(received(&[&[0, 0, 0, 0, 2, 7]]), Err(BadAnswer::Framing), "cut");
        assert_eq!(received(&[&[0, 0, 0, 0, 1, 7, 8]]), Err(BadAnswer::Framing), "more behind it");
        assert_eq!(received(&[&[0, 0, 0, 0, 1, 7], &[0]]), Err(BadAnswer::Framing), "more behind it");
        assert_eq!(received(&[&[1, 0, 0, 0, 1, 7]]), Err(BadAnswer::Framing), "compressed");
        assert_eq!(received(&[&[0, 0, 0, 0, 5]]), Err(BadAnswer::TooLong { announced: 5, most: 4 }));
        assert!(received(&[&[0, 0, 0, 0, 4, 1, 2, 3, 4]]).is_ok(), "as long as is allowed");
    }

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        assert_eq!(timeout(Duration::from_micros(1_500)), "1500u");
        assert_eq!(timeout(Duration::from_micros(99_999_999)), "99999999u");
        assert_eq!(timeout(Duration::from_secs(100)), "100000m");
        assert_eq!(timeout(Duration::MAX), "99999999m");
    }

    #[test]
    fn a_servers_words_are_decoded() {
        assert_eq!(decoded(b"no model %22a%22, 100%"), "no model \"a\", 100%");
        assert_eq!(decoded("%E7%8F%BE".as_bytes()), "現");
    }
}
