//! One walk over an ONNX file before anything is made of it.
//!
//! The library that runs graphs believes what a file says: it allocates the size that a tensor claims, reads the file
//! that a tensor names from the working directory, follows nesting as deep as it goes. So the bytes are walked here
//! first, in place, without an allocation that the file could make large. It knows the fields of `onnx.proto` that lead
//! to a tensor, a type or an operator, and skips the rest.

mod growth;
mod wire;

use self::growth::Growth;
use self::wire::{Value, take_field, take_number};

/// The deepest nesting of messages that is followed; a graph in a graph takes three.
const MAX_DEPTH: usize = 64;
/// The most dimensions of a tensor; the largest in ONNX's own tests has seven.
const MAX_RANK: usize = 16;
/// The most elements that the declared type of a value may have: 1 GiB of 32-bit floats.
const MAX_ELEMENTS: u64 = 1 << 28;
/// A byte of a tensor holds at most four elements, of two bits each.
const ELEMENTS_A_BYTE: u64 = 4;
/// The most functions that a file brings.
const MAX_FUNCTIONS: usize = 1024;
/// Operators of these are run: ONNX's own under both of its names, and its classical models.
const DOMAINS: [&[u8]; 3] = [b"", b"ai.onnx", b"ai.onnx.ml"];

/// Why these bytes are not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The data of the tensor with this name is elsewhere.
    Outside(String),
    /// The tensor or value with this name claims more than it holds, or than any model needs.
    Oversized(String),
    /// An operator of a domain that is not run.
    Foreign {
        /// Its name.
        operator: String,
        /// Where it comes from.
        domain: String,
    },
    /// These bytes are no ONNX graph.
    NotOnnx,
}

/// Whether these bytes are a graph whose data they hold, of a size that they hold, with known operators.
pub(crate) fn inspect(model: &[u8]) -> Result<(), Unfit> {
    // ONNX Runtime would recognise its own format by this mark and read other fields than these.
    if model.get(4..8) == Some(b"ORTM") {
        return Err(Unfit::NotOnnx);
    }
    let mut growth = Growth::default();
    walk(Message::Model, model, 0, &functions(model)?, &mut growth)?;
    growth.is_bounded()
}

/// An operator's name and its domain.
type Operator<'m> = (&'m [u8], &'m [u8]);

/// The messages of `onnx.proto` on the way to a tensor, a type or an operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    /// The type of what a sequence, an optional or a map holds.
    Holder,
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
            (Self::Graph, 11..=13) | (Self::Function, 12) => Some(Self::ValueInfo),
            (Self::ValueInfo, 2) | (Self::Attribute, 14 | 15) | (Self::Holder, 1 | 2) => Some(Self::Type),
            (Self::Type, 1 | 8) => Some(Self::TensorType),
            (Self::Type, 4 | 5 | 9) => Some(Self::Holder),
            (
                Self::Model
                | Self::Graph
                | Self::Function
                | Self::Node
                | Self::Attribute
                | Self::SparseTensor
                | Self::Tensor
                | Self::ValueInfo
                | Self::Type
                | Self::TensorType
                | Self::Holder,
                _,
            ) => None,
        }
    }
}

fn walk<'m>(
    message: Message,
    bytes: &'m [u8],
    depth: usize,
    functions: &[Operator<'_>],
    growth: &mut Growth<'m>,
) -> Result<(), Unfit> {
    if depth > MAX_DEPTH {
        return Err(Unfit::NotOnnx);
    }
    match message {
        Message::Tensor => {
            tensor(bytes)?;
            growth.tensor(bytes);
        }
        Message::TensorType => tensor_type(bytes)?,
        Message::SparseTensor => sparse(bytes)?,
        Message::Node => growth.node(node(bytes, functions)?, bytes),
        Message::Model
        | Message::Graph
        | Message::Function
        | Message::Attribute
        | Message::ValueInfo
        | Message::Type
        | Message::Holder => {}
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        if let (field, Value::Bytes(inner)) = take_field(&mut rest).ok_or(Unfit::NotOnnx)?
            && let Some(child) = message.child(field)
        {
            walk(child, inner, depth + 1, functions, growth)?;
        }
    }
    Ok(())
}

/// A tensor holds its data, and no fewer bytes than its shape claims.
fn tensor(bytes: &[u8]) -> Result<(), Unfit> {
    let (mut name, mut outside, mut claim) = (&[][..], false, Claim::default());
    let mut rest = bytes;
    while !rest.is_empty() {
        match take_field(&mut rest).ok_or(Unfit::NotOnnx)? {
            (1, value) => claim.dimensions(value)?,
            (8, Value::Bytes(text)) => name = text,
            // external_data, or data_location = EXTERNAL.
            (13, Value::Bytes(_)) | (14, Value::Number(1)) => outside = true,
            (_, _) => {}
        }
    }
    if outside {
        return Err(Unfit::Outside(text(name)));
    }
    let holds = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(ELEMENTS_A_BYTE);
    if claim.is_too_large(holds) { Err(Unfit::Oversized(text(name))) } else { Ok(()) }
}

/// A sparse tensor is laid out whole, however few of its values are given.
fn sparse(bytes: &[u8]) -> Result<(), Unfit> {
    let (mut claim, mut rest) = (Claim::default(), bytes);
    while !rest.is_empty() {
        if let (3, value) = take_field(&mut rest).ok_or(Unfit::NotOnnx)? {
            claim.dimensions(value)?;
        }
    }
    if claim.is_too_large(MAX_ELEMENTS) { Err(Unfit::Oversized("a sparse tensor".to_owned())) } else { Ok(()) }
}

/// The declared type of a value: a shape, whose dimensions may be left open.
fn tensor_type(bytes: &[u8]) -> Result<(), Unfit> {
    let mut claim = Claim::default();
    for shape in children(bytes, 2) {
        for dimension in children(shape?, 1) {
            let (mut size, mut rest) = (None, dimension?);
            while !rest.is_empty() {
                if let (1, Value::Number(number)) = take_field(&mut rest).ok_or(Unfit::NotOnnx)? {
                    size = Some(number);
                }
            }
            // Older files write -1 where newer ones leave a size out.
            claim.dimension(size.filter(|size| *size != u64::MAX).unwrap_or(1));
        }
    }
    if claim.is_too_large(MAX_ELEMENTS) { Err(Unfit::Oversized("a declared type".to_owned())) } else { Ok(()) }
}

/// The node's operator, which must be known.
fn node<'m>(bytes: &'m [u8], functions: &[Operator<'_>]) -> Result<&'m [u8], Unfit> {
    let (mut operator, mut domain, mut rest) = (&[][..], &[][..], bytes);
    while !rest.is_empty() {
        match take_field(&mut rest).ok_or(Unfit::NotOnnx)? {
            (4, Value::Bytes(text)) => operator = text,
            (7, Value::Bytes(text)) => domain = text,
            (_, _) => {}
        }
    }
    if DOMAINS.contains(&domain) || functions.contains(&(operator, domain)) {
        return Ok(operator);
    }
    Err(Unfit::Foreign { operator: text(operator), domain: text(domain) })
}

/// The operators that the file brings as functions of its own, made of others that are looked at likewise.
fn functions(model: &[u8]) -> Result<Vec<Operator<'_>>, Unfit> {
    let mut functions = Vec::new();
    for function in children(model, 25) {
        let (mut name, mut domain, mut rest) = (&[][..], &[][..], function?);
        while !rest.is_empty() {
            match take_field(&mut rest).ok_or(Unfit::NotOnnx)? {
                (1, Value::Bytes(text)) => name = text,
                (10, Value::Bytes(text)) => domain = text,
                (_, _) => {}
            }
        }
        functions.push((name, domain));
        if functions.len() > MAX_FUNCTIONS {
            return Err(Unfit::NotOnnx);
        }
    }
    Ok(functions)
}

/// The messages in this field.
fn children(mut rest: &[u8], wanted: u64) -> impl Iterator<Item = Result<&[u8], Unfit>> {
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            match take_field(&mut rest) {
                Some((field, Value::Bytes(inner))) if field == wanted => return Some(Ok(inner)),
                Some((_, _)) => {}
                None => {
                    rest = &[];
                    return Some(Err(Unfit::NotOnnx));
                }
            }
        }
        None
    })
}

/// What a shape claims.
#[derive(Default)]
struct Claim {
    rank: usize,
    /// The product so far; `None` where it does not fit or a size is none. A zero among them makes it zero.
    elements: Option<u64>,
    empty: bool,
    wrong: bool,
}

impl Claim {
    /// One dimension, or several packed into one field.
    fn dimensions(&mut self, value: Value<'_>) -> Result<(), Unfit> {
        match value {
            Value::Number(size) => self.dimension(size),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    self.dimension(take_number(&mut packed).ok_or(Unfit::NotOnnx)?);
                }
            }
        }
        Ok(())
    }

    fn dimension(&mut self, size: u64) {
        self.rank = self.rank.saturating_add(1);
        self.empty |= size == 0;
        // A negative number is a huge one here.
        let so_far = if self.rank == 1 { Some(1) } else { self.elements };
        self.elements = so_far.and_then(|elements| elements.checked_mul(size.max(1)));
        self.wrong |= size > i64::MAX.unsigned_abs();
    }

    fn is_too_large(&self, most: u64) -> bool {
        let elements = if self.rank == 0 { Some(1) } else { self.elements };
        let too_many = !self.empty && elements.is_none_or(|elements| elements > most);
        self.wrong || self.rank > MAX_RANK || too_many
    }
}

/// A name for a person: the file may have made it long.
fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 128;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Unfit, inspect};

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
            assert_eq!(inspect(&model), Err(Unfit::Outside("weights".to_owned())), "{place}");
        }
        assert_eq!(inspect(&field(7, &field(5, &tensor(0)))), Ok(()), "the negative control");
    }

    #[test]
    fn what_cannot_be_read_to_its_end_is_no_graph() {
        for bytes in
            [&b"not a graph"[..], b"\x3a\x05\x2a", b"\x3a", b"\x3b", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            assert_eq!(inspect(bytes), Err(Unfit::NotOnnx), "{bytes:?}");
        }
        assert_eq!(inspect(b"\x08\x08\x08\x08ORTM\x08\x08"), Err(Unfit::NotOnnx));
    }

    /// An initializer of these dimensions, of one type, with so many bytes of data.
    fn claiming(dimensions: &[usize], data: usize) -> Vec<u8> {
        let dimensions: Vec<u8> = dimensions.iter().flat_map(|&size| [varint(1 << 3), varint(size)].concat()).collect();
        field(7, &field(5, &[dimensions, vec![2 << 3, 1], field(8, b"weights"), field(9, &vec![0; data])].concat()))
    }

    #[test]
    fn a_tensor_claims_no_more_than_it_holds() {
        assert_eq!(inspect(&claiming(&[4, 4], 64)), Ok(()), "the negative control");
        let oversized = Err(Unfit::Oversized("weights".to_owned()));
        assert_eq!(inspect(&claiming(&[1 << 30], 64)), oversized, "gigabytes of a few bytes");
        assert_eq!(inspect(&claiming(&[1 << 33, 1 << 33], 64)), oversized, "more than can be counted");
        assert_eq!(inspect(&claiming(&[usize::MAX], 64)), oversized, "a negative size");
        assert_eq!(inspect(&claiming(&[1; 17], 64)), oversized, "more dimensions than any model has");
        assert_eq!(inspect(&claiming(&[0, 1 << 40], 0)), Ok(()), "nothing, however it is spelt");
    }

    #[test]
    fn a_declared_type_is_one_that_can_be_laid_out() {
        let value = |sizes: &[usize]| {
            let sizes: Vec<u8> =
                sizes.iter().flat_map(|&size| field(1, &[varint(1 << 3), varint(size)].concat())).collect();
            field(7, &field(11, &[field(1, b"x"), field(2, &field(1, &field(2, &sizes)))].concat()))
        };
        assert_eq!(inspect(&value(&[usize::MAX, 3, 224, 224])), Ok(()), "an open size in older files");
        assert_eq!(inspect(&value(&[1 << 20, 1 << 20])), Err(Unfit::Oversized("a declared type".to_owned())));
    }

    #[test]
    fn operators_of_others_are_known_only_as_the_files_own_functions() {
        let node = |domain: &[u8]| field(7, &field(1, &[field(4, b"Own"), field(7, domain)].concat()));
        let foreign = Unfit::Foreign { operator: "Own".to_owned(), domain: "vendor".to_owned() };
        assert_eq!((inspect(&node(b"")), inspect(&node(b"ai.onnx.ml"))), (Ok(()), Ok(())));
        assert_eq!(inspect(&node(b"vendor")), Err(foreign.clone()));
        let function = |name: &[u8]| field(25, &[field(1, name), field(10, b"vendor")].concat());
        assert_eq!(inspect(&[node(b"vendor"), function(b"Own")].concat()), Ok(()));
        assert_eq!(inspect(&[node(b"vendor"), function(b"Other")].concat()), Err(foreign));
    }

    #[test]
    fn what_is_made_of_a_few_numbers_is_bounded() {
        let shape = |sizes: &[i64]| {
            let raw: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
            [
                vec![1 << 3, u8::try_from(sizes.len()).expect("a few")],
                vec![2 << 3, 7],
                field(8, b"sizes"),
                field(9, &raw),
            ]
            .concat()
        };
        let made = |operator: &[u8], inputs: &[&[u8]]| {
            let inputs: Vec<u8> = inputs.iter().flat_map(|name| field(1, name)).collect();
            field(1, &[inputs, field(4, operator)].concat())
        };
        let oversized = |operator: &str| Err(Unfit::Oversized(operator.to_owned()));
        let large = field(5, &shape(&[1 << 20, 1 << 20]));
        let constant =
            field(1, &[field(2, b"sizes"), field(4, b"Constant"), field(5, &field(5, &shape(&[1 << 40])))].concat());
        for sizes in [large, constant] {
            let graph = |node: Vec<u8>| field(7, &[sizes.clone(), node].concat());
            assert_eq!(inspect(&graph(made(b"ConstantOfShape", &[b"sizes"]))), oversized("ConstantOfShape"));
            assert_eq!(inspect(&graph(made(b"Expand", &[b"x", b"sizes"]))), oversized("Expand"));
            assert_eq!(inspect(&graph(made(b"Expand", &[b"sizes", b"x"]))), Ok(()), "not by its data");
            assert_eq!(inspect(&graph(made(b"Add", &[b"sizes", b"x"]))), Ok(()));
        }
        let small = field(5, &shape(&[-1, 1 << 20]));
        assert_eq!(inspect(&field(7, &[small, made(b"Tile", &[b"x", b"sizes"])].concat())), Ok(()));
    }

    #[test]
    fn nesting_without_end_is_no_graph() {
        // A graph in an attribute in a node in a graph.
        let nested = |depth| (0..depth).fold(Vec::new(), |inner, _| field(1, &field(5, &field(6, &inner))));
        assert_eq!(inspect(&field(7, &nested(2))), Ok(()));
        assert_eq!(inspect(&field(7, &nested(1000))), Err(Unfit::NotOnnx));
    }
}
