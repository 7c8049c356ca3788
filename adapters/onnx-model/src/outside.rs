//! Finds tensors whose data lies in another file.
//!
//! ONNX lets a tensor name a second file, and ONNX Runtime reads it from the working directory when
//! the graph comes from memory. The manifest's digest does not cover such a file, so these models are
//! refused. The walk knows only the fields of `onnx.proto` that lead to a tensor, and skips the rest.

/// The deepest nesting of messages that is followed; a graph in a graph takes three.
const MAX_DEPTH: usize = 64;

/// Why these bytes are not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The data of the tensor with this name is elsewhere.
    Outside(String),
    /// These bytes are no ONNX graph.
    NotOnnx,
}

/// Whether the data of every tensor is in these bytes.
pub(crate) fn all_inside(model: &[u8]) -> Result<(), Unfit> {
    // ONNX Runtime would recognise its own format by this mark and read other fields than these.
    if model.get(4..8) == Some(b"ORTM") {
        return Err(Unfit::NotOnnx);
    }
    walk(Message::Model, model, 0)
}

/// The messages of `onnx.proto` on the way to a tensor.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
}

impl Message {
    /// What the field with this number holds, where it leads on.
    fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Function, 11) | (Self::Node, 5) => Some(Self::Attribute),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (
                Self::Model
                | Self::Graph
                | Self::Function
                | Self::Node
                | Self::Attribute
                | Self::SparseTensor
                | Self::Tensor,
                _,
            ) => None,
        }
    }
}

fn walk(message: Message, mut bytes: &[u8], depth: usize) -> Result<(), Unfit> {
    if depth > MAX_DEPTH {
        return Err(Unfit::NotOnnx);
    }
    let (mut name, mut outside) = (String::new(), false);
    while !bytes.is_empty() {
        let (field, value) = take_field(&mut bytes).ok_or(Unfit::NotOnnx)?;
        match (message, field, value) {
            (Message::Tensor, 8, Value::Bytes(text)) => {
                name = String::from_utf8_lossy(text).into_owned();
            }
            // external_data, or data_location = EXTERNAL.
            (Message::Tensor, 13, Value::Bytes(_)) | (Message::Tensor, 14, Value::Number(1)) => {
                outside = true;
            }
            (_, _, Value::Bytes(inner)) => {
                if let Some(child) = message.child(field) {
                    walk(child, inner, depth + 1)?;
                }
            }
            (_, _, Value::Number(_)) => {}
        }
    }
    if outside { Err(Unfit::Outside(name)) } else { Ok(()) }
}

/// A field's value, as protocol buffers lay it out.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = take_number(bytes)?;
    let value = match key & 7 {
        0 => Value::Number(take_number(bytes)?),
        1 => Value::Bytes(take(bytes, 8)?),
        2 => {
            let length = usize::try_from(take_number(bytes)?).ok()?;
            Value::Bytes(take(bytes, length)?)
        }
        5 => Value::Bytes(take(bytes, 4)?),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::{Unfit, all_inside};

    /// A field that holds `bytes`.
    fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
        [varint(number << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
    }

    fn varint(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(u8::try_from(number & 127).expect("seven bits") | 128);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).expect("seven bits"));
        bytes
    }

    fn tensor(location: u8) -> Vec<u8> {
        [field(8, b"weights"), vec![14 << 3, location]].concat()
    }

    #[test]
    fn a_tensor_is_found_wherever_a_graph_can_hold_one() {
        let outside = tensor(1);
        let attribute = field(5, &outside);
        let node = field(5, &attribute);
        for (place, model) in [
            ("an initializer", field(7, &field(5, &outside))),
            ("external_data alone", field(7, &field(5, &[field(8, b"weights"), field(13, b"")].concat()))),
            ("a sparse initializer", field(7, &field(15, &field(1, &outside)))),
            ("a node's attribute", field(7, &field(1, &node))),
            ("a list of tensors", field(7, &field(1, &field(5, &field(10, &outside))))),
            ("a graph in a graph", field(7, &field(1, &field(5, &field(6, &field(5, &outside)))))),
            ("a function", field(25, &field(7, &node))),
        ] {
            assert_eq!(all_inside(&model), Err(Unfit::Outside("weights".to_owned())), "{place}");
        }
        assert_eq!(all_inside(&field(7, &field(5, &tensor(0)))), Ok(()), "the negative control");
    }

    #[test]
    fn what_cannot_be_read_to_its_end_is_no_graph() {
        for bytes in
            [&b"not a graph"[..], b"\x3a\x05\x2a", b"\x3a", b"\x3b", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            assert_eq!(all_inside(bytes), Err(Unfit::NotOnnx), "{bytes:?}");
        }
        assert_eq!(all_inside(b"\x08\x08\x08\x08ORTM\x08\x08"), Err(Unfit::NotOnnx));
    }

    #[test]
    fn nesting_without_end_is_no_graph() {
        // A graph in an attribute in a node in a graph.
        let nested = |depth| (0..depth).fold(Vec::new(), |inner, _| field(1, &field(5, &field(6, &inner))));
        assert_eq!(all_inside(&field(7, &nested(2))), Ok(()));
        assert_eq!(all_inside(&field(7, &nested(1000))), Err(Unfit::NotOnnx));
    }
}
