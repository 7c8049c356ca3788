use super::*;
use crate::timing::{Binding, Device, Distribution, EngineThread, LibraryFile, Origin, Timed};

fn finding(scenes: Vec<Timed>) -> Finding {
    let binding = Binding {
        model_sha256: "a".repeat(64),
        provider: "cpu".into(),
        device: Device { name: "A <Processor>".into(), cores: vec![0] },
        library: LibraryFile { version: "1.31.1".into(), sha256: "c".repeat(64) },
        driver: "Linux 6.18".into(),
        session: "graph optimization Level3".into(),
        scheduling: "default class".into(),
        engine: EngineThread { scheduling: "default class".into(), cores: vec![0] },
        memory_locked: false,
        power_mode: "unknown".into(),
        co_runners: Vec::new(),
    };
    let origin = Origin {
        model: "policy".into(),
        worker: "cpu0".into(),
        genba: "0.1.0".into(),
        at_unix_s: 0,
        took_s: 30,
        inputs: Inputs::Zeros {},
    };
    let record = Record::new(origin, binding, scenes);
    Finding { record, path: "policy.json".into(), quantile: Quantile::DEFAULT, lacks_rights: false }
}

fn scenes() -> Vec<Timed> {
    let times = || Distribution::of((40_000, 10_000), (9_000_000, 12));
    vec![
        Timed::new(Scene::Cold {}, vec![812_000, 45_000], Distribution::of((45_000, 1), (812_000, 1))),
        Timed::new(Scene::Alone { pause_us: 0 }, Vec::new(), times()),
    ]
}

#[test]
fn page_needs_nothing_from_outside() {
    let page = page(&finding(scenes())).expect("it can be drawn");
    for outside in ["http:", "https:", "//", "<script", "@import", "url(", "src=", "href="] {
        assert!(!page.contains(outside), "the page holds {outside}");
    }
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(page.contains("99.9 % of inferences took at most 9.00 ms"), "{page}");
    assert!(page.contains("812 µs, 45.0 µs, in this order"));
    assert!(page.contains("A &lt;Processor&gt;"));
}

#[test]
fn record_without_samples_has_a_page_that_says_so() {
    for scenes in
        [Vec::new(), vec![Timed::new(Scene::Alone { pause_us: 0 }, Vec::new(), Distribution::of((1, 9), (1, 0)))]]
    {
        let page = page(&finding(scenes)).expect("it can be drawn");
        assert!(page.contains("No execution time") && page.contains("too few samples for the quantile 0.999"));
        well_formed(&page);
    }
}

#[test]
fn page_is_well_formed() {
    well_formed(&page(&finding(scenes())).expect("it can be drawn"));
}

#[test]
fn dates_follow_the_calendar() {
    assert_eq!(date(0), "1970-01-01 00:00 UTC");
    assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
    assert_eq!(date(1_795_454_400), "2026-11-23 17:20 UTC");
    assert_eq!(date(4_107_542_399), "2100-02-28 23:59 UTC");
    assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
}

/// Every element that is opened is closed, in order; attributes are quoted.
fn well_formed(page: &str) {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
        match tag {
            _ if tag.starts_with('!') || tag.ends_with('/') || name == "meta" || name == "br" => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "</{name}>"),
            _ => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
