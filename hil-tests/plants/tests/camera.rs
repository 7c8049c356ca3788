//! The camera over the belt: what it draws, and what it says where nothing can draw.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use plants::{Camera, CameraError, HEIGHT, Motion, NoRenderer, PICTURE_BYTES, Ur5eConveyor, WIDTH};

#[test]
fn the_part_is_where_it_is_seen() {
    let Some(mut camera) = camera() else { return };
    let mut plant = Ur5eConveyor::load(&scene()).expect("the scene's arm is the conveyor's");
    let mut columns = Vec::new();
    for motion in [Motion { reach_m: 0.4, ..Motion::DEMO }, Motion { reach_m: 0.0, ..Motion::DEMO }] {
        plant.ride(motion);
        let picture = camera.look(&plant.pose());
        assert_eq!(picture.len(), PICTURE_BYTES);
        columns.push(orange(picture).expect("the part is orange"));
    }
    let [near_the_edge, middle] = columns[..] else { unreachable!("two looks") };
    // The camera looks along the middle of the belt; 0.4 m are 40 pixels in its picture.
    assert!((middle.0 - f64::from(WIDTH) / 2.0).abs() < 2.0, "{middle:?}");
    assert!((near_the_edge.0 - (f64::from(WIDTH) / 2.0 - 40.0)).abs() < 5.0, "{near_the_edge:?}");
    assert!((10.0..f64::from(HEIGHT) - 10.0).contains(&middle.1), "it is in the middle of the picture: {middle:?}");
}

#[test]
fn the_same_pose_gives_the_same_picture_and_another_one_another() {
    let Some(mut camera) = camera() else { return };
    let mut plant = Ur5eConveyor::load(&scene()).expect("the scene's arm is the conveyor's");
    let first = camera.look(&plant.pose()).to_vec();
    assert_eq!(camera.look(&plant.pose()), first);
    for _ in 0..200 {
        plant.step();
    }
    assert_ne!(camera.look(&plant.pose()), first, "the part has moved");
}

#[test]
fn another_file_is_refused() {
    let folder = scene().parent().expect("it is in a folder").join("../ur5e-conveyor");
    let error = Camera::open(&folder.join("arm.xml")).err().expect("it has no camera over the belt");
    assert!(matches!(error, CameraError::NoCamera(_)), "{error}");
    let error = Camera::open(&folder.join("no.xml")).err().expect("there is no such file");
    assert!(matches!(error, CameraError::File { .. }), "{error}");
}

/// Where the orange pixels are on average: column, row.
fn orange(picture: &[u8]) -> Option<(f64, f64)> {
    let (mut columns, mut rows, mut count) = (0.0, 0.0, 0.0);
    for (index, pixel) in (0_u32..).zip(picture.chunks_exact(3)) {
        if pixel[0] > 120 && pixel[2] < 60 {
            columns += f64::from(index % WIDTH);
            rows += f64::from(index / WIDTH);
            count += 1.0;
        }
    }
    (count > 0.0).then(|| (columns / count, rows / count))
}

/// None, and a line that says so, where this machine has nothing to draw with.
fn camera() -> Option<Camera> {
    match Camera::open(&scene()) {
        Ok(camera) => Some(camera),
        Err(CameraError::NoRenderer(error)) => {
            skip(&error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Says what was not looked at, also to whoever counts.
fn skip(error: &NoRenderer) {
    let line = format!("skipped: {error}\n");
    print!("{line}");
    if let Some(path) = std::env::var_os("GENBA_SKIPS") {
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("GENBA_SKIPS can be written");
    }
}

fn scene() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/visual-servo/scene.xml")
}
