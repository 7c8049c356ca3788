//! Asks an opened ONNX Runtime which version it is; the binding knows, but does not say.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The first two fields of `OrtApiBase`, which ONNX Runtime's C header promises never to change.
#[repr(C)]
struct ApiBase {
    api: *const c_void,
    version: unsafe extern "C" fn() -> *const c_char,
}

type ApiBaseOf = unsafe extern "C" fn() -> *const ApiBase;

/// The version, `1.31.1` for example, of the library at `path` that this process has already opened;
/// `None` where it was not opened or is no ONNX Runtime.
#[allow(unsafe_code, reason = "dlopen, dlsym and three calls through C pointers; there is no safe way to ask")]
pub(crate) fn version(path: &Path) -> Option<String> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: `path` is a C string. RTLD_NOLOAD runs no code of the library: it is open, or null comes back.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return None;
    }
    // The handle is never closed: the process keeps its one library to the end.
    // SAFETY: `library` is an open handle and the name is a C string.
    let symbol = unsafe { libc::dlsym(library, c"OrtGetApiBase".as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    // SAFETY: a symbol of this name has this type in every ONNX Runtime since 1.0.
    let api_base_of = unsafe { std::mem::transmute::<*mut c_void, ApiBaseOf>(symbol) };
    // SAFETY: it takes nothing and may be called at any time.
    let base = unsafe { api_base_of() };
    // SAFETY: it returns null or a pointer to a table that lives as long as the library.
    let base = unsafe { base.as_ref() }?;
    // SAFETY: the table's entry takes nothing and may be called at any time.
    let text = unsafe { (base.version)() };
    if text.is_null() {
        return None;
    }
    // SAFETY: it is a C string that lives as long as the library.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().ok().map(str::to_owned)
}
