//! PP-OCRv6 on a cluster: a client of the box has labels read, Japanese included, and the box runs neither of the models.

use std::fs;

use tempfile::TempDir;
use tests::{
    Authority, Identity, Reader, Server, TRITON, cluster_section, free_endpoint, home_policy, interpreter, journalled,
    ocr,
};

fn is_text(line: &str) -> bool {
    line.split('\t').count() == 3
}

#[test]
fn labels_are_read_by_the_cluster() {
    let Some(interpreter) = interpreter("labels read by a cluster") else { return };
    let folder = TempDir::new().expect("a temporary folder can be made");
    let _ = ocr(&["models", &folder.path().display().to_string()]);
    let model = |name: &str| folder.path().join(name).join("model.onnx").display().to_string();
    let (detect, recognise) = (model("det"), model("rec"));
    let jurisdiction = Authority::new("jp");
    let identity = jurisdiction.addressed_server(TRITON);
    let client = jurisdiction.client("spiffe://factory.jp/box/reader");
    let models = [("det", detect.as_str()), ("rec", recognise.as_str())];
    let mut server = Server::triton(&interpreter, &identity, &jurisdiction, &models);
    server.await_ready(&interpreter, Some(&client));
    let endpoint = free_endpoint();
    let text = text(&endpoint, &server.address().to_string(), &jurisdiction, &client);
    fs::write(folder.path().join("box.toml"), text).expect("the folder can be written");
    let policy = home_policy(&[("synthetic", "public"), ("image", "trade-secret")]);
    fs::write(folder.path().join("policy.toml"), policy).expect("the folder can be written");
    let mut reader = Reader::start(folder);
    reader.await_serving();
    let said = ocr(&["read", &endpoint, &reader.question(0), &reader.question(1), "2"]);
    print!("{said}");
    let lines: Vec<&str> = said.lines().filter(|line| is_text(line)).collect();
    assert_eq!(lines.len(), 8, "two labels of four lines: {said}");
    assert!(lines.iter().all(|line| line.ends_with("\tsame")), "{said}");
    // Two pictures were looked at, eight lines read; probes beside them have pictures of zeros.
    assert!(server.received("det").len() >= 2, "{}", reader.log());
    assert_eq!(server.received("rec").len(), 8, "{}", reader.log());
    let status = reader.asked(&["status"]).expect("status prints JSON");
    let line = &status["hand_offs"]["clusters"][0];
    assert_eq!((line["requested"].as_u64(), line["delivered"].as_u64()), (Some(10), Some(10)), "{line}");
    let attempts = journalled(reader.folder());
    assert_eq!(attempts.iter().filter(|attempt| attempt.task == "recognise").count(), 8, "{attempts:?}");
}

fn text(endpoint: &str, server: &str, jurisdiction: &Authority, client: &Identity) -> String {
    let task = |name: &str, model: &str| {
        format!(
            "[[task]]\nname = \"{name}\"\nmodel = \"{model}\"\ndeadline_us = 8000000\n\
             clients = [{{ name = \"reader\", min_period_us = 1000, queue = 2 }}]\n\
             data = {{ x = \"image/trade-secret\" }}\n"
        )
    };
    format!(
        r#"
[box]
name = "reader"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["{endpoint}"]

[quarantine]
hang_ms = 10000

[[model]]
name = "det"
folder = "det"

[[model]]
name = "rec"
folder = "rec"

{}{}{}"#,
        cluster_section(&[server.to_owned()], &["det", "rec"], (jurisdiction, client), (5_000, 4_000)),
        task("detect", "det"),
        task("recognise", "rec"),
    )
}
