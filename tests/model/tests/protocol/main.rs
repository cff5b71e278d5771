//! The protocol as it is keeps its promises in every state that a world can reach, and each mistake that it could make is found.

mod checking;
mod correct;
mod defects;
mod worlds;
