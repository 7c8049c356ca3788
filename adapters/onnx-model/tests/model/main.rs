//! Models as they are loaded and run: the real library, real ONNX files.

mod folder;
mod golden;
mod load;
mod run;
mod several;
mod weights;
