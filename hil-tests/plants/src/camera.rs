//! What the camera over the belt sees: `scene.xml` of `models/visual-servo`, drawn off screen.

use std::path::{Path, PathBuf};

use mujoco_rs::prelude::{
    MjData, MjModel, MjModelError, MjrContext, MjrRectangle, MjtObjBase, MjtRndFlag, MjvCamera, MjvOption, MjvPerturb,
    MjvScene,
};
use thiserror::Error;

use crate::egl::{Context, NoRenderer};
use crate::ur5e_conveyor::Pose;

/// Pixels across.
pub const WIDTH: u32 = 96;
/// Pixels down.
pub const HEIGHT: u32 = 64;
/// Of one picture: rows from the top, each pixel red, green, blue.
pub const PICTURE_BYTES: usize = (WIDTH * HEIGHT * 3) as usize;

/// The camera. It belongs to the thread that opened it, as its OpenGL context does.
pub struct Camera {
    data: MjData<Box<MjModel>>,
    scene: MjvScene,
    viewpoint: MjvCamera,
    drawn: Vec<u8>,
    picture: Vec<u8>,
    // In this order: a renderer ends before its context.
    renderer: MjrContext,
    _context: Context,
}

/// Why there is no camera.
#[derive(Debug, Error)]
pub enum CameraError {
    /// `MuJoCo` refused the file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What `MuJoCo` said.
        source: MjModelError,
    },
    /// The file has no camera.
    #[error("{}: it has no camera `belt`", .0.display())]
    NoCamera(PathBuf),
    /// This machine draws nothing.
    #[error(transparent)]
    NoRenderer(#[from] NoRenderer),
}

impl Camera {
    /// Opens the camera of this file, and an OpenGL context for the calling thread.
    ///
    /// # Errors
    /// [`CameraError`]; [`CameraError::NoRenderer`] where the machine has nothing to draw with.
    pub fn open(scene_xml: &Path) -> Result<Self, CameraError> {
        let path = || scene_xml.to_owned();
        let model = MjModel::from_xml(scene_xml).map_err(|source| CameraError::File { path: path(), source })?;
        let id = model.name_to_id(MjtObjBase::mjOBJ_CAMERA, "belt").ok_or_else(|| CameraError::NoCamera(path()))?;
        let context = Context::open()?;
        let mut renderer = renderer(&model);
        renderer.offscreen();
        let mut scene = MjvScene::new(&model, MOST_SHAPES);
        without_shadows(&mut scene);
        Ok(Self {
            data: MjData::new(Box::new(model)),
            scene,
            viewpoint: MjvCamera::new_fixed(id),
            drawn: vec![0; PICTURE_BYTES],
            picture: vec![0; PICTURE_BYTES],
            renderer,
            _context: context,
        })
    }

    /// The picture of an arm and a part that stand so: rows from the top, each pixel red, green, blue.
    pub fn look(&mut self, pose: &Pose) -> &[u8] {
        self.data.qpos_mut().copy_from_slice(&pose.joints_rad);
        self.data.mocap_pos_mut()[0] = pose.part_m;
        self.data.forward();
        self.scene.update(&mut self.data, &MjvOption::default(), &MjvPerturb::default(), &mut self.viewpoint);
        let whole = MjrRectangle { left: 0, bottom: 0, width: signed(WIDTH), height: signed(HEIGHT) };
        self.scene.render(&whole, &self.renderer);
        self.renderer.read_pixels(Some(&mut self.drawn), None, &whole).expect("the buffer is as large as the picture");
        // OpenGL's first row is the lowest.
        let row = WIDTH as usize * 3;
        for (from, to) in self.drawn.chunks_exact(row).rev().zip(self.picture.chunks_exact_mut(row)) {
            to.copy_from_slice(from);
        }
        &self.picture
    }
}

/// More than the scene has.
const MOST_SHAPES: usize = 1_000;

#[allow(unsafe_code, reason = "MuJoCo's renderer is C, and takes the thread's OpenGL context on trust")]
fn renderer(model: &MjModel) -> MjrContext {
    // SAFETY: `Context::open` just made an OpenGL context this thread's. `Camera` is of one thread, since a context is
    // no `Send`, and drops the renderer first.
    unsafe { MjrContext::new(model) }
}

/// As the model was trained.
#[allow(unsafe_code, reason = "the scene's flags are a field of a C structure")]
fn without_shadows(scene: &mut MjvScene) {
    for flag in [MjtRndFlag::mjRND_SHADOW, MjtRndFlag::mjRND_REFLECTION] {
        // SAFETY: A flag is 0 or 1, and no pointer.
        unsafe { scene.ffi_mut() }.flags[flag as usize] = 0;
    }
}

fn signed(pixels: u32) -> i32 {
    i32::try_from(pixels).expect("a picture has fewer than 2^31 pixels a side")
}
