//! One walk over an ONNX file before anything is made of it.
//!
//! The library that runs graphs believes what a file says: it allocates the size that a tensor claims, reads the file
//! that a tensor names from the working directory, follows nesting as deep as it goes. So the bytes are walked here
//! first, in place, without an allocation that the file could make large. It knows the fields of `onnx.proto` that lead
//! to a tensor, a type or an operator, and skips the rest.

mod growth;
mod opset;
mod outside;
mod wire;

use manifest::Domain;

use self::growth::Growth;
pub(crate) use self::opset::opset;
pub use self::outside::Outside;
use self::outside::Sections;
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
/// The operator that is a compiled graph, in a file that it names itself: it would be opened by whoever runs it.
const COMPILED: &[u8] = b"EPContext";

/// What a manifest allows its graph beyond ONNX's operators and the file's own bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Allowed<'a> {
    /// Files that its tensors may lie in, by the names that it knows them by, with what they hold.
    pub(crate) files: &'a [(&'a str, &'a [u8])],
    /// Whose operators it may use besides.
    pub(crate) domains: &'a [Domain],
}

/// Why these bytes are not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The data of a tensor is elsewhere, and not where it may be.
    Outside {
        /// The tensor's name.
        tensor: String,
        /// What is wrong with the place.
        why: Outside,
    },
    /// The version of ONNX's operators that it is written for is older than any that is run.
    OldOpset(u64),
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

/// Whether these bytes are a graph whose data they hold, or files that are allowed, of a size that is held there, with
/// known operators.
pub(crate) fn inspect<'m>(model: &'m [u8], allowed: Allowed<'m>) -> Result<(), Unfit> {
    // ONNX Runtime would recognise its own format by this mark and read other fields than these.
    if model.get(4..8) == Some(b"ORTM") {
        return Err(Unfit::NotOnnx);
    }
    opset::is_new_enough(model)?;
    let functions = functions(model)?;
    let mut walk = Walk { allowed, functions, growth: Growth::default(), sections: Sections::of(allowed.files) };
    walk.follow(Message::Model, model, 0)?;
    walk.sections.are_disjoint()?;
    walk.growth.is_bounded()
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

/// What is known on the way, and what is learnt.
struct Walk<'m> {
    allowed: Allowed<'m>,
    functions: Vec<Operator<'m>>,
    growth: Growth<'m>,
    sections: Sections<'m>,
}

impl<'m> Walk<'m> {
    fn follow(&mut self, message: Message, bytes: &'m [u8], depth: usize) -> Result<(), Unfit> {
        if depth > MAX_DEPTH {
            return Err(Unfit::NotOnnx);
        }
        match message {
            // Nothing but an initializer of the graph itself is two steps below the model.
            Message::Tensor => self.tensor(bytes, depth == 2)?,
            Message::TensorType => tensor_type(bytes)?,
            Message::SparseTensor => sparse(bytes)?,
            Message::Node => self.growth.node(self.operator(bytes)?, bytes),
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
                self.follow(child, inner, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A tensor holds its data, or a file does, and no fewer bytes than its shape claims.
    fn tensor(&mut self, bytes: &'m [u8], is_initializer: bool) -> Result<(), Unfit> {
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
        let found =
            if outside { Some(self.sections.take(bytes, name, claim.elements(), is_initializer)?) } else { None };
        let holds = u64::try_from(found.unwrap_or(bytes).len()).unwrap_or(u64::MAX).saturating_mul(ELEMENTS_A_BYTE);
        if claim.is_too_large(holds) {
            return Err(Unfit::Oversized(text(name)));
        }
        self.growth.tensor(bytes, found);
        Ok(())
    }

    /// The node's operator, which must be known.
    fn operator(&self, bytes: &'m [u8]) -> Result<&'m [u8], Unfit> {
        let (mut operator, mut domain, mut rest) = (&[][..], &[][..], bytes);
        while !rest.is_empty() {
            match take_field(&mut rest).ok_or(Unfit::NotOnnx)? {
                (4, Value::Bytes(text)) => operator = text,
                (7, Value::Bytes(text)) => domain = text,
                (_, _) => {}
            }
        }
        let added = self.allowed.domains.iter().any(|added| added.name().as_bytes() == domain);
        let known = DOMAINS.contains(&domain) || added || self.functions.contains(&(operator, domain));
        if known && operator != COMPILED {
            return Ok(operator);
        }
        Err(Unfit::Foreign { operator: text(operator), domain: text(domain) })
    }
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

    /// How many elements there are, if that can be said.
    fn elements(&self) -> Option<u64> {
        let elements = if self.rank == 0 { Some(1) } else { self.elements };
        if self.wrong {
            None
        } else if self.empty {
            Some(0)
        } else {
            elements
        }
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
mod tests;
