//! Files by hand, field for field: what is refused, each with a twin that is not.

use manifest::Domain;

use super::outside::Outside;
use super::{Allowed, Unfit};

/// With nothing beside the file.
fn inspect(model: &[u8]) -> Result<(), Unfit> {
    super::inspect(model, Allowed::default())
}

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

/// An initializer named `weights` of four floats; its data lies elsewhere as `entries` say.
fn outside(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|(key, value)| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat()))
        .collect();
    [vec![1 << 3, 4, 2 << 3, 1, 14 << 3, 1], field(8, b"weights"), entries].concat()
}

fn unfit(why: Outside) -> Result<(), Unfit> {
    Err(Unfit::Outside { tensor: "weights".to_owned(), why })
}

#[test]
fn a_tensor_is_found_wherever_a_graph_can_hold_one() {
    let outside = outside(&[("location", "a.bin")]);
    let attribute = field(5, &outside);
    let node = field(5, &attribute);
    for (place, model) in [
        ("an initializer", field(7, &field(5, &outside))),
        ("a sparse initializer", field(7, &field(15, &field(1, &outside)))),
        ("a node's attribute", field(7, &field(1, &node))),
        ("a list of tensors", field(7, &field(1, &field(5, &field(10, &outside))))),
        ("a graph in a graph", field(7, &field(1, &field(5, &field(6, &field(5, &outside)))))),
        ("a function", field(25, &field(7, &node))),
    ] {
        assert_eq!(inspect(&model), unfit(Outside::Undeclared("a.bin".to_owned())), "{place}");
        let declared = super::inspect(&model, Allowed { files: &[("a.bin", &[0; 16])], domains: &[] });
        let wanted = if place == "an initializer" { Ok(()) } else { unfit(Outside::Elsewhere) };
        assert_eq!(declared, wanted, "{place}");
    }
    let inside = [vec![1 << 3, 4, 2 << 3, 1, 14 << 3, 0], field(8, b"weights"), field(9, &[0; 16])].concat();
    assert_eq!(inspect(&field(7, &field(5, &inside))), Ok(()), "the negative control");
}

#[test]
fn data_elsewhere_lies_where_it_is_declared_and_is_as_long_as_it_must_be() {
    let files: &[(&str, &[u8])] = &[("a.bin", &[0; 40]), ("b.bin", &[0; 16])];
    let asked = |entries: &[(&str, &str)]| {
        super::inspect(&field(7, &field(5, &outside(entries))), Allowed { files, domains: &[] })
    };
    let a = ("location", "a.bin");
    for good in [&[a][..], &[a, ("offset", "24")], &[("length", "16"), a, ("offset", "0"), ("checksum", "any")]] {
        assert_eq!(asked(good), Ok(()), "{good:?}");
    }
    for location in
        ["c.bin", "../a.bin", "/etc/passwd", "./a.bin", "sub/a.bin", "A.BIN", "a.bin ", "*/_ORT_MEM_ADDR_/*"]
    {
        assert_eq!(asked(&[("location", location)]), unfit(Outside::Undeclared(location.to_owned())));
    }
    for unclear in [
        &[][..],
        &[("offset", "0")],
        &[a, a],
        &[a, ("offset", "0"), ("offset", "0")],
        &[a, ("offset", "-1")],
        &[a, ("offset", "")],
        &[a, ("length", "0x10")],
        &[a, ("offset", "99999999999999999999999")],
        &[a, ("prepacked_key", "0")],
    ] {
        assert_eq!(asked(unclear), unfit(Outside::Unclear), "{unclear:?}");
    }
    let file = || "a.bin".to_owned();
    let beyond = |from: u64| Outside::Beyond { file: file(), from, to: from.saturating_add(16), holds: 40 };
    assert_eq!(asked(&[a, ("offset", "25")]), unfit(beyond(25)));
    assert_eq!(asked(&[a, ("offset", "18446744073709551615")]), unfit(beyond(u64::MAX)), "no wrap around");
    assert_eq!(asked(&[a, ("length", "12")]), unfit(Outside::Length { file: file(), claimed: 12, taken: 16 }));
}

#[test]
fn data_elsewhere_is_a_tensors_own_and_of_a_type_with_a_size() {
    let files: &[(&str, &[u8])] = &[("a.bin", &[0; 40]), ("b.bin", &[0; 16])];
    let asked = |tensors: &[Vec<u8>]| {
        let graph: Vec<u8> = tensors.iter().flat_map(|tensor| field(5, tensor)).collect();
        super::inspect(&field(7, &graph), Allowed { files, domains: &[] })
    };
    let at = |file, offset| outside(&[("location", file), ("offset", offset)]);
    assert_eq!(asked(&[at("a.bin", "16"), at("a.bin", "0"), at("b.bin", "0")]), Ok(()));
    let shared = unfit(Outside::Shared { file: "a.bin".to_owned(), other: "weights".to_owned() });
    assert_eq!(asked(&[at("a.bin", "15"), at("a.bin", "0")]), shared);
    assert_eq!(asked(&[at("a.bin", "0"), at("b.bin", "0"), at("a.bin", "0")]), shared, "gigabytes out of one file");
    let with = |more: Vec<u8>| [at("a.bin", "0"), more].concat();
    assert_eq!(asked(&[with(field(9, &[0; 16]))]), unfit(Outside::Unclear), "data here and there");
    assert_eq!(asked(&[with(vec![14 << 3, 0])]), unfit(Outside::Unclear), "data here, it says, and there");
    assert_eq!(asked(&[with(vec![2 << 3, 8])]), unfit(Outside::Unclear), "texts have no size");
    let large = with([vec![1 << 3], varint(1 << 40)].concat());
    assert!(matches!(asked(&[large]), Err(Unfit::Outside { why: Outside::Beyond { .. }, .. })), "terabytes");
    assert_eq!(asked(&[with([vec![1 << 3], varint(usize::MAX)].concat())]), unfit(Outside::Unclear), "a negative size");
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
fn operators_of_onnx_runtime_are_known_by_declaration_alone() {
    let node = |operator: &[u8]| field(7, &field(1, &[field(4, operator), field(7, b"com.microsoft")].concat()));
    let foreign =
        |operator: &str| Err(Unfit::Foreign { operator: operator.to_owned(), domain: "com.microsoft".to_owned() });
    let declared = |model: &[u8]| super::inspect(model, Allowed { files: &[], domains: &[Domain::Microsoft] });
    assert_eq!((inspect(&node(b"FusedGemm")), declared(&node(b"FusedGemm"))), (foreign("FusedGemm"), Ok(())));
    assert_eq!(declared(&node(b"EPContext")), foreign("EPContext"), "it would name a file to open");
}

#[test]
fn a_version_of_the_operators_before_the_oldest_is_told() {
    let written_for = |domain: &[u8], version: u8| field(8, &[field(1, domain), vec![2 << 3, version]].concat());
    for domain in [&b""[..], b"ai.onnx"] {
        assert_eq!(inspect(&written_for(domain, 7)), Ok(()));
        assert_eq!(inspect(&written_for(domain, 6)), Err(Unfit::OldOpset(6)));
    }
    assert_eq!(inspect(&written_for(b"ai.onnx.ml", 1)), Ok(()), "another domain's");
    assert_eq!(super::opset(&[written_for(b"", 17), written_for(b"com.microsoft", 1)].concat()), Some(17));
}

#[test]
fn what_is_made_of_a_few_numbers_is_bounded() {
    let shape = |sizes: &[i64]| {
        let raw: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        [vec![1 << 3, u8::try_from(sizes.len()).expect("a few")], vec![2 << 3, 7], field(8, b"sizes"), field(9, &raw)]
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
    let elsewhere = [vec![1 << 3, 2, 2 << 3, 7, 14 << 3, 1], field(8, b"sizes")].concat();
    let elsewhere = [elsewhere, field(13, &[field(1, b"location"), field(2, b"a.bin")].concat())].concat();
    let grown = field(7, &[field(5, &elsewhere), made(b"ConstantOfShape", &[b"sizes"])].concat());
    let by = |sizes: [i64; 2]| {
        let bytes = sizes.map(i64::to_le_bytes).concat();
        super::inspect(&grown, Allowed { files: &[("a.bin", &bytes)], domains: &[] })
    };
    assert_eq!((by([1 << 20, 1 << 20]), by([1 << 10, 2])), (oversized("ConstantOfShape"), Ok(())), "by another file");
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
