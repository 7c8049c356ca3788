//! The proof that a provider holds the whole model: ONNX Runtime is asked, operator by operator, who got it.
//!
//! That it was told to fail otherwise is not enough: it was once found to place part of a graph elsewhere all the same.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;
use std::slice;

use ort::AsPointer;
use ort::session::Session;
use thiserror::Error;

use crate::Provider;

/// Without it a session does not remember who got what.
pub(crate) const RECORD: (&str, &str) = ("session.record_ep_graph_assignment_info", "1");

/// How many operators are named in a refusal; the rest is counted.
const NAMED: usize = 5;

/// One operator of a graph, and who computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// As ONNX calls it, `Conv` for example.
    pub operator: String,
    /// Its own name in the graph; may be empty.
    pub name: String,
    /// The provider, in ONNX Runtime's words.
    pub provider: String,
}

/// A provider does not hold the whole model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Partly {
    /// Who should hold it all.
    pub provider: Provider,
    /// How many operators there are.
    pub operators: usize,
    /// Those that somebody else got.
    pub elsewhere: Vec<Placed>,
}

/// Whether `provider` got every operator. A graph in which nothing was left to compute is held by anybody.
pub(crate) fn prove(provider: Provider, placed: &[Placed]) -> Result<(), Partly> {
    let elsewhere = placed.iter().filter(|one| one.provider != provider.runtime_name()).cloned();
    let elsewhere: Vec<_> = elsewhere.collect();
    if elsewhere.is_empty() { Ok(()) } else { Err(Partly { provider, operators: placed.len(), elsewhere }) }
}

/// Who got which operator, in a session that was made with [`RECORD`].
#[allow(unsafe_code, reason = "the C interface of ONNX Runtime; the binding does not have these calls")]
pub(crate) fn placed(session: &Session) -> ort::Result<Vec<Placed>> {
    let api = ort::api();
    let (mut subgraphs, mut count) = (ptr::null(), 0);
    // SAFETY: the session lives; both places are ours to write.
    let status = unsafe { (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &raw mut subgraphs, &raw mut count) };
    // SAFETY: the status was just returned by that call and is given away here, once.
    unsafe { ort::Error::result_from_status(status) }?;
    let mut placed = Vec::new();
    // SAFETY: that call set both: so many pointers, which the session keeps until it ends.
    let subgraphs = unsafe { listed(subgraphs, count) };
    for &subgraph in subgraphs {
        // SAFETY: the subgraph is one of the session's.
        let provider = unsafe { text(|out| (api.EpAssignedSubgraph_GetEpName)(subgraph, out)) }?;
        let (mut nodes, mut count) = (ptr::null(), 0);
        // SAFETY: as above; both places are ours to write.
        let status = unsafe { (api.EpAssignedSubgraph_GetNodes)(subgraph, &raw mut nodes, &raw mut count) };
        // SAFETY: the status was just returned by that call and is given away here, once.
        unsafe { ort::Error::result_from_status(status) }?;
        // SAFETY: as with the subgraphs.
        let nodes = unsafe { listed(nodes, count) };
        for &node in nodes {
            // SAFETY: the node is one of the session's.
            let operator = unsafe { text(|out| (api.EpAssignedNode_GetOperatorType)(node, out)) }?;
            // SAFETY: as above.
            let name = unsafe { text(|out| (api.EpAssignedNode_GetName)(node, out)) }?;
            placed.push(Placed { operator, name, provider: provider.clone() });
        }
    }
    Ok(placed)
}

/// # Safety
/// `list` is null, or `count` elements that outlive the slice.
#[allow(unsafe_code, reason = "a list of the C interface")]
unsafe fn listed<'l, T>(list: *const T, count: usize) -> &'l [T] {
    if list.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(list, count) }
}

/// # Safety
/// `ask` writes null or a C string that lives at least until it is copied here.
#[allow(unsafe_code, reason = "a text of the C interface")]
unsafe fn text(ask: impl FnOnce(*mut *const c_char) -> ort::sys::OrtStatusPtr) -> ort::Result<String> {
    let mut text = ptr::null();
    let status = ask(&raw mut text);
    // SAFETY: the status was just returned by the call and is given away here, once.
    unsafe { ort::Error::result_from_status(status) }?;
    if text.is_null() {
        return Ok(String::new());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

impl fmt::Display for Partly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, operators, elsewhere } = self;
        write!(
            f,
            "{provider} holds only part of the model: {} of {operators} operators are not on it: ",
            elsewhere.len()
        )?;
        for (place, Placed { operator, name, provider }) in elsewhere.iter().take(NAMED).enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
            write!(f, "{comma}{operator}{named} is on {provider}")?;
        }
        match elsewhere.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUDA: Provider = Provider::Cuda { device: 0 };

    fn on(provider: &str, operator: &str) -> Placed {
        Placed { operator: operator.into(), name: format!("{operator}_0"), provider: provider.into() }
    }

    #[test]
    fn all_operators_or_none_is_the_proof() {
        let ours = on("CUDAExecutionProvider", "Conv");
        assert_eq!(prove(CUDA, std::slice::from_ref(&ours)), Ok(()));
        assert_eq!(prove(CUDA, &[]), Ok(()), "everything was computed at load");
        for other in ["CPUExecutionProvider", "TensorrtExecutionProvider", ""] {
            let partly = prove(CUDA, &[ours.clone(), on(other, "Det")]).expect_err("one operator is elsewhere");
            assert_eq!((partly.operators, partly.elsewhere), (2, vec![on(other, "Det")]));
        }
    }

    #[test]
    fn who_is_elsewhere_is_named_and_many_are_counted() {
        let one = prove(CUDA, &[on("CUDAExecutionProvider", "Conv"), on("CPUExecutionProvider", "Det")]);
        assert_eq!(
            one.expect_err("one is elsewhere").to_string(),
            "cuda:0 holds only part of the model: 1 of 2 operators are not on it: Det \"Det_0\" is on CPUExecutionProvider"
        );
        let many: Vec<_> = (0..7).map(|_| on("CPUExecutionProvider", "Det")).collect();
        let told = prove(CUDA, &many).expect_err("all are elsewhere").to_string();
        assert!(told.contains("7 of 7 operators") && told.ends_with(", and 2 more"), "{told}");
    }
}
