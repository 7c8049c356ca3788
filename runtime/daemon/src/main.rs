//! genba
fn main(){}
