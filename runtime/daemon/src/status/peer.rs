//! Whose process is at the other end of a status socket. The socket's mode keeps others out; an operator may open that up for
//! whoever watches the box, and a socket in the temporary folder may be anybody's.

use std::{
    io, mem,
    os::{fd::AsRawFd, unix::net::UnixStream},
};

/// The box's side: whether who asks is its own user, or root.
///
/// # Errors
/// The system does not tell.
pub(crate) fn may_change(stream: &UnixStream) -> io::Result<bool> {
    users(stream).map(|(other, own)| is_allowed(other, own))
}

/// The asking side: whether who answers is this process's user or root's box. Root asks whom it likes.
///
/// # Errors
/// The system does not tell.
pub(crate) fn may_be_asked(stream: &UnixStream) -> io::Result<bool> {
    users(stream).map(|(other, own)| is_allowed(other, own) || own == 0)
}

#[allow(unsafe_code, reason = "std tells it on no stable way")]
fn users(stream: &UnixStream) -> io::Result<(libc::uid_t, libc::uid_t)> {
    let mut other = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut bytes = libc::socklen_t::try_from(mem::size_of_val(&other)).expect("three numbers");
    // SAFETY: the socket is open, and `other` has as many bytes as `bytes` says.
    let told = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut other).cast(),
            &raw mut bytes,
        )
    };
    if told != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes nothing and cannot fail.
    let own = unsafe { libc::geteuid() };
    Ok((other.uid, own))
}

fn is_allowed(other: libc::uid_t, own: libc::uid_t) -> bool {
    other == own || other == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_user_and_root_are_allowed_and_nobody_else() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        assert!(may_change(&one).expect("Linux tells") && may_be_asked(&one).expect("Linux tells"));
        assert!(is_allowed(0, 1000));
        assert!(!is_allowed(1001, 1000));
        assert!(!is_allowed(1000, 0), "who runs the box as root alone may change it");
    }
}
