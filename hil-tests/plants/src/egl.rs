//! An OpenGL context without a display or a window: EGL's library is looked for when a context is asked for,
//! and nothing else needs it.
#![allow(unsafe_code, reason = "EGL is a C library that is loaded at run time")]

use std::ffi::c_int;

use khronos_egl as egl;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use thiserror::Error;

/// Why there is no OpenGL context.
#[derive(Debug, Error)]
pub enum NoRenderer {
    /// The system has no EGL.
    #[error("no renderer: {LIBRARY}: {0}; install your system's libegl1 and libgl1-mesa-dri")]
    NoLibrary(libloading::Error),
    /// EGL has no display that draws without a screen.
    #[error("no renderer: EGL has no display that draws without a screen; install your system's libgl1-mesa-dri")]
    NoDisplay,
    /// EGL refused something.
    #[error("no renderer: EGL refused {what}: {source}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: egl::Error,
    },
}

/// The calling thread's OpenGL context, for as long as it lives. It cannot leave the thread.
pub(crate) struct Context {
    egl: Egl,
    display: egl::Display,
    opened: egl::Context,
}

type Egl = egl::DynamicInstance<egl::EGL1_5>;

impl Context {
    /// Opens a context and makes it the calling thread's.
    pub(crate) fn open() -> Result<Self, NoRenderer> {
        let egl = load(LIBRARY)?;
        let display = display(&egl)?;
        let refused = |what| move |source| NoRenderer::Refused { what, source };
        egl.bind_api(egl::OPENGL_API).map_err(refused("OpenGL"))?;
        let config = egl.choose_first_config(display, &CONFIG).map_err(refused("a configuration"))?;
        let config = config.ok_or(NoRenderer::NoDisplay)?;
        let opened = egl.create_context(display, config, None, &[egl::NONE]).map_err(refused("an OpenGL context"))?;
        let context = Self { egl, display, opened };
        // Without a surface: what is drawn goes into a buffer of MuJoCo's own.
        context.egl.make_current(display, None, None, Some(opened)).map_err(refused("to draw without a surface"))?;
        Ok(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // There is nobody to tell; what fails here ends with the process.
        let _ = self.egl.make_current(self.display, None, None, None);
        let _ = self.egl.destroy_context(self.display, self.opened);
    }
}

const LIBRARY: &str = "libEGL.so.1";

/// The library stays until the process ends (`RTLD_NODELETE`): Mesa's leave threads and destructors of threads behind.
const NODELETE: c_int = 0x1000;

/// Mesa's platform without any screen (`EGL_PLATFORM_SURFACELESS_MESA`).
const SURFACELESS: egl::Enum = 0x31DD;

/// As `MuJoCo`'s own Python package asks for.
const CONFIG: [egl::Int; 17] = [
    egl::RED_SIZE,
    8,
    egl::GREEN_SIZE,
    8,
    egl::BLUE_SIZE,
    8,
    egl::ALPHA_SIZE,
    8,
    egl::DEPTH_SIZE,
    24,
    egl::STENCIL_SIZE,
    8,
    egl::SURFACE_TYPE,
    egl::PBUFFER_BIT,
    egl::RENDERABLE_TYPE,
    egl::OPENGL_BIT,
    egl::NONE,
];

fn load(library: &str) -> Result<Egl, NoRenderer> {
    // SAFETY: Loading it runs no code of ours. Its names are global, since MuJoCo looks for eglGetProcAddress among
    // the process's own names.
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL | NODELETE) };
    let library = libloading::Library::from(library.map_err(NoRenderer::NoLibrary)?);
    // SAFETY: A library of this name has EGL's functions.
    unsafe { Egl::load_required_from(library) }.map_err(|_| NoRenderer::NoDisplay)
}

/// A display that needs no screen, initialised.
fn display(egl: &Egl) -> Result<egl::Display, NoRenderer> {
    // SAFETY: The default display of this platform has no native display.
    let surfaceless = unsafe { egl.get_platform_display(SURFACELESS, egl::DEFAULT_DISPLAY, &[egl::ATTRIB_NONE]) }.ok();
    // SAFETY: The default display is always one that may be asked for.
    let other = || unsafe { egl.get_display(egl::DEFAULT_DISPLAY) };
    let works = |display: &egl::Display| egl.initialize(*display).is_ok();
    surfaceless.filter(works).or_else(|| other().filter(works)).ok_or(NoRenderer::NoDisplay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_egl_is_told_what_to_install() {
        let error = load("libEGL.so.none").expect_err("no system has it");
        assert!(matches!(error, NoRenderer::NoLibrary(_)), "{error}");
        let told = error.to_string();
        assert!(told.starts_with("no renderer: ") && told.contains("libegl1"), "{told}");
    }
}
