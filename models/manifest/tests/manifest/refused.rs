//! Everything that can be wrong, with the exact place and words a person reads.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use manifest::{Position, Problem};

use crate::folder::{Folder, VALID, changed};

#[track_caller]
fn refused(old: &str, new: &str, complaint: &str) {
    assert_eq!(Folder::with(&changed(old, new)).complaint(), complaint);
}

#[test]
fn syntax() {
    refused("= \"reach\"", "= reach", "M/model.toml:1:8: string values must be quoted, expected literal string");
    refused("[envelope]", "[envelope", "M/model.toml:32:10: unclosed table, expected `]`");
}

#[test]
fn unknown_fields_at_every_level() {
    refused(
        "max_step_us = 10000",
        "max_step_us = 10000\n[colour]\nred = 1",
        "M/model.toml:35:2: unknown field `colour`, expected one of `name`, `version`, `description`, `file`, \
         `sha256`, `domains`, `licence`, `provenance`, `input`, `output`, `weights`, `envelope`, `plan`, `state`, \
         `golden`, `fp16`",
    );
    refused(
        "data = \"simulated\"",
        "data = \"simulated\"\ncolour = 1",
        "M/model.toml:11:1: unknown field `colour`, expected one of `source`, `data`, `trained`",
    );
    refused(
        "shape = [1, 3]",
        "shape = [1, 3]\ncolour = 1",
        "M/model.toml:17:1: unknown field `colour`, expected one of `name`, `dtype`, `shape`, `source`, `elements`, \
         `image`, `output`, `length`, `period_us`",
    );
    refused(
        "shape = [1, 2]",
        "shape = [1, 2]\ncolour = 1",
        "M/model.toml:27:1: unknown field `colour`, expected one of `name`, `dtype`, `shape`, `role`, `elements`",
    );
    refused(
        "unit = \"°\" }",
        "unit = \"°\", colour = 1 }",
        "M/model.toml:19:42: unknown field `colour`, expected `name` or `unit`",
    );
    refused(
        "start = 0 }",
        "start = 0, colour = 1 }",
        "M/model.toml:29:118: unknown field `colour`, expected one of `name`, `unit`, `min`, `max`, \
         `max_change_per_s`, `rest`, `start`",
    );
    refused(
        "max_step_us = 10000",
        "max_step_us = 10000\ncolour = 1",
        "M/model.toml:35:1: unknown field `colour`, expected `too_fast` or `max_step_us`",
    );
}

#[test]
fn missing_fields() {
    refused("name = \"reach\"\n", "", "M/model.toml:1:1: missing field `name`");
    refused("data = \"simulated\"\n", "", "M/model.toml:8:1: missing field `data`");
    refused("name = \"observation\"\n", "", "M/model.toml:13:1: missing field `name`");
    refused(", rest = 0.25", "", "M/model.toml:29:3: missing field `rest`");
    refused("max_step_us = 10000\n", "", "M/model.toml:32:1: missing field `max_step_us`");
}

#[test]
fn types() {
    refused("version = \"1.0.0\"", "version = 1", "M/model.toml:2:11: invalid type: integer `1`, expected a string");
    refused("max_step_us = 10000", "max_step_us = -1", "M/model.toml:34:15: invalid value: integer `-1`, expected u64");
    refused("[1, 3]", "[1, -3]", "M/model.toml:16:13: invalid value: integer `-3`, expected u64");
    refused("min = -0.1", "min = \"low\"", "M/model.toml:29:54: invalid type: string \"low\", expected f32");
    refused(
        "start = 0 }",
        "start = true }",
        "M/model.toml:29:115: invalid type: boolean `true`, expected a number or the name of an input element",
    );
}

#[test]
fn names_and_texts() {
    refused(
        "name = \"reach\"",
        "name = \"腕\"",
        "M/model.toml:1:8: the name holds a character that is not printable ASCII; use letters, digits and signs",
    );
    refused("name = \"reach\"", "name = \"\"", "M/model.toml:1:8: the name is empty; fill it in");
    refused("data = \"simulated\"", "data = \" \"", "M/model.toml:10:8: the data is empty; fill it in");
    refused("\"target\"", "\"\"", "M/model.toml:24:8: the tensor name is empty; fill it in");
    refused(
        "name = \"load\"",
        "name = \"elbow/position\"",
        "M/model.toml:20:12: the name \"elbow/position\" is used twice; names are unique over all inputs",
    );
    refused(
        "{ name = \"elbow/position\", unit = \"150",
        "{ name = \"shoulder/position\", unit = \"150",
        "M/model.toml:29:12: the name \"shoulder/position\" is used twice; names are unique in a tensor",
    );
    let long = "x".repeat(129);
    refused("load", &long, "M/model.toml:20:12: the name has 129 bytes; shorten it to at most 128");
    refused("\"°\"", "\"a\\tb\"", "M/model.toml:19:37: the unit holds a control character; remove it");
    refused("\"°\"", "\"\"", "M/model.toml:19:37: the unit is empty; write \"1\" where a number has no unit");
}

#[test]
fn tensors() {
    let no_output = VALID.split("[[output]]").next().expect("split has a first part").to_owned();
    let folder = Folder::with(&format!("{no_output}[envelope]\ntoo_fast = \"clamp\"\nmax_step_us = 1\n"));
    assert_eq!(folder.complaint(), "M/model.toml:1:1: there is no [[output]] table; add one");
    refused(
        "dtype = \"f32\"\nshape = [1, 3]",
        "dtype = \"f64\"\nshape = [1, 3]",
        "M/model.toml:15:9: dtype \"f64\" is not supported; export the model with one of \
         f32, f16, bf16, i8, i16, i32, i64, u8, bool",
    );
    refused(
        "[1, 3]",
        "[1, 4]",
        "M/model.toml:17:12: 3 elements, but the shape [1, 4] has 4; name every element, or correct the shape",
    );
    refused("[1, 3]", "[]", "M/model.toml:16:9: the shape is empty; a single number has the shape [1]");
    refused(
        "[1, 3]",
        "[0, 3]",
        "M/model.toml:16:10: a dimension must be at least 1; write the fixed size the model runs with",
    );
    refused(
        "[1, 3]",
        "[4194305]",
        "M/model.toml:16:9: this shape has more than the 4194304 elements that are supported",
    );
    refused(
        "[1, 3]",
        "[9223372036854775807, 3]",
        "M/model.toml:16:9: this shape has more than the 4194304 elements that are supported",
    );
    refused("[1, 2]", "[65]", "M/model.toml:26:9: this shape has more than the 64 elements that are supported");
}

#[test]
fn limits() {
    refused("min = -0.1", "min = 1.0", "M/model.toml:29:54: min 1.0 is not less than max 1.0; exchange or widen them");
    let not_finite = "is not a finite 32-bit float; limits must be numbers that can be compared";
    refused("min = -0.1", "min = nan", &format!("M/model.toml:29:54: min {not_finite}"));
    refused("max = 1,", "max = 1e39,", &format!("M/model.toml:29:66: max {not_finite}"));
    refused(
        "max_change_per_s = 1e-5",
        "max_change_per_s = inf",
        &format!("M/model.toml:29:88: max_change_per_s {not_finite}"),
    );
    refused("rest = 0.25", "rest = -inf", &format!("M/model.toml:29:101: rest {not_finite}"));
    refused(
        "min = -1.5, max = 1.5",
        "min = -3e38, max = 3e38",
        "M/model.toml:28:66: from min -3e38 to max 3e38 is too far for a 32-bit float; narrow the range",
    );
    refused(
        "max_change_per_s = 1e-5",
        "max_change_per_s = 0.0",
        "M/model.toml:29:88: max_change_per_s 0.0 is not more than 0; give the largest change in one second",
    );
    refused(
        "rest = 0.25",
        "rest = 1.5",
        "M/model.toml:29:101: rest 1.5 is outside -0.1 to 1.0; move it inside, or widen min and max",
    );
    refused(
        "start = 0 }",
        "start = -1 }",
        "M/model.toml:29:115: start -1.0 is outside -0.1 to 1.0; move it inside, or widen min and max",
    );
    refused(
        "start = 0 }",
        "start = nan }",
        "M/model.toml:29:115: start is not a finite 32-bit float; give a number inside min and max",
    );
    refused(
        "start = 0 }",
        "start = \"wrist\" }",
        "M/model.toml:29:115: start names \"wrist\", which is no input element; name one of them, or give a number",
    );
}

#[test]
fn the_envelope() {
    refused(
        "\"clamp\"",
        "\"stop\"",
        "M/model.toml:33:12: too_fast \"stop\" is unknown; write \"clamp\" or \"fallback\"",
    );
    let step = "M/model.toml:34:15: max_step_us must be from 1 to 60000000; a few control periods are usual";
    refused("max_step_us = 10000", "max_step_us = 0", step);
    refused("max_step_us = 10000", "max_step_us = 60000001", step);
}

#[test]
fn a_model_outside_the_folder() {
    for path in ["../model.onnx", "/model.onnx", "a/../../model.onnx", "./model.onnx", ""] {
        refused(
            "\"model.onnx\"",
            &format!("{path:?}"),
            &format!(
                "M/model.toml:4:8: file {path:?} is not a path below the model's folder; put the file beside model.toml"
            ),
        );
    }
    let (inside, outside) = (Folder::with(&changed("model.onnx", "link.onnx")), Folder::with(VALID));
    symlink(outside.path("model.onnx"), inside.path("link.onnx")).expect("a link can be made");
    assert_eq!(
        inside.complaint(),
        "M/model.toml:4:8: cannot read M/link.onnx: a link leads out of the model's folder; \
         put the file there, or correct `file`"
    );
}

#[test]
fn a_missing_manifest() {
    let folder = Folder::with(VALID);
    fs::remove_file(folder.path("model.toml")).expect("the manifest can be removed");
    assert_eq!(
        folder.complaint(),
        "M/model.toml: cannot read M/model.toml: No such file or directory (os error 2); \
         every model is a folder that holds model.toml and its ONNX file"
    );
    let error = folder.load().expect_err("there is no manifest");
    assert_eq!((error.file(), error.position()), (&*folder.path("model.toml"), None));
    assert!(matches!(error.problem(), Problem::Unreadable { .. }));
}

#[test]
fn a_missing_model() {
    let folder = Folder::with(VALID);
    fs::remove_file(folder.path("model.onnx")).expect("the model can be removed");
    assert_eq!(
        folder.complaint(),
        "M/model.toml:4:8: cannot read M/model.onnx: No such file or directory (os error 2); \
         put the file there, or correct `file`"
    );
    let error = folder.load().expect_err("there is no model");
    assert_eq!(error.position(), Some(Position { line: 4, column: 8 }));
    assert!(matches!(error.problem(), Problem::Unreadable { .. }));
}

#[test]
fn a_pipe_for_a_model_is_refused_without_waiting_for_a_writer() {
    let folder = Folder::with(&changed("model.onnx", "pipe.onnx"));
    let made = Command::new("mkfifo").arg(folder.path("pipe.onnx")).status().expect("mkfifo can be started");
    assert!(made.success(), "mkfifo makes a pipe");
    assert_eq!(
        folder.complaint(),
        "M/model.toml:4:8: cannot read M/pipe.onnx: not a regular file; put the file there, or correct `file`"
    );
}

#[test]
fn files_that_are_too_large_are_not_read() {
    let folder = Folder::with(VALID);
    let grow = |file: &str, bytes| {
        File::create(folder.path(file)).and_then(|file| file.set_len(bytes)).expect("a sparse file can be made");
    };
    grow("model.onnx", (1 << 30) + 1);
    assert_eq!(
        folder.complaint(),
        "M/model.toml:4:8: M/model.onnx has 1073741825 bytes, more than the 1073741824 that are read; is it the right file?"
    );
    grow("model.toml", (1 << 20) + 1);
    assert_eq!(
        folder.complaint(),
        "M/model.toml: M/model.toml has 1048577 bytes, more than the 1048576 that are read; is it the right file?"
    );
    let error = folder.load().expect_err("the manifest is too large");
    assert!(matches!(error.problem(), Problem::TooLarge { bytes: 1_048_577, limit: 1_048_576, .. }));
}

#[test]
fn a_manifest_that_is_not_utf8() {
    let folder = Folder::with(VALID);
    fs::write(folder.path("model.toml"), b"name = \"a\"\nversion = \"\xff\"").expect("the manifest can be written");
    assert_eq!(folder.complaint(), "M/model.toml:2:12: this byte is not UTF-8; save the file as UTF-8");
}

#[test]
fn digests() {
    let spelling =
        "M/model.toml:5:10: sha256 is not 64 lower-case hexadecimal digits; `sha256sum` of the file prints them";
    refused("9372c4", "9372C4", spelling);
    refused("9372c4", "9372c", spelling);
    refused("9372c4", "9372c400", spelling);

    let folder = Folder::with(VALID);
    fs::write(folder.path("model.onnx"), "other").expect("the model can be written");
    let (found, declared) = (
        "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
        "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4",
    );
    assert_eq!(
        folder.complaint(),
        format!(
            "M/model.toml:5:10: M/model.onnx has the SHA-256 {found}, but the manifest says {declared}; \
             restore the file that was signed off, or enter the new digest after a review"
        )
    );
}
