//! Documents that read like a manual and are the same on every machine: about one wide topic, in many smaller ones.

use std::fmt::Write as _;
use std::path::Path;

/// What all of them are about.
pub(crate) const TOPIC: &str = "Steam engines";

/// Bytes of one document.
const LEAST: usize = 20_000;
const MOST: usize = 60_000;

const PARTS: [&str; 40] = [
    "boiler",
    "governor",
    "condenser",
    "piston",
    "cylinder",
    "crankshaft",
    "flywheel",
    "valve gear",
    "safety valve",
    "firebox",
    "smokebox",
    "injector",
    "feedwater pump",
    "steam dome",
    "regulator",
    "connecting rod",
    "crosshead",
    "slide valve",
    "superheater",
    "blastpipe",
    "ashpan",
    "water gauge",
    "pressure gauge",
    "steam chest",
    "eccentric",
    "stuffing box",
    "lubricator",
    "drain cock",
    "air pump",
    "hotwell",
    "economiser",
    "draught fan",
    "grate",
    "fire tube",
    "stay bolt",
    "mud ring",
    "whistle",
    "reversing lever",
    "bearing",
    "bedplate",
];
const KINDS: [&str; 20] = [
    "marine",
    "stationary",
    "portable",
    "compound",
    "rotary",
    "beam",
    "traction",
    "vertical",
    "horizontal",
    "high-pressure",
    "low-pressure",
    "oscillating",
    "uniflow",
    "triple-expansion",
    "condensing",
    "agricultural",
    "railway",
    "mining",
    "textile",
    "experimental",
];
const MAKERS: [&str; 24] = [
    "Aldersgate Works",
    "Brindle and Sons",
    "Calder Foundry",
    "Dunmore Ironworks",
    "Eastbrook Yard",
    "Fenwick Engines",
    "Garrow Mill",
    "Hallam Forge",
    "Inverleith Works",
    "Jarrow Dock",
    "Kelham Island",
    "Lowmoor Company",
    "Marsden Pit",
    "Northgate Mill",
    "Ormside Yard",
    "Penhale Mine",
    "Quarrendon Works",
    "Ravensbourne Dock",
    "Selby Line",
    "Thornhill Colliery",
    "Ulverston Canal",
    "Verwood Brickyard",
    "Wexcombe Pumping Station",
    "Yarrow Shipyard",
];
const MATERIALS: [&str; 16] = [
    "cast iron",
    "wrought iron",
    "brass",
    "gunmetal",
    "copper",
    "mild steel",
    "asbestos rope",
    "leather",
    "oak",
    "white metal",
    "bronze",
    "crucible steel",
    "lead",
    "tallow",
    "graphite",
    "canvas",
];
const FAULTS: [&str; 16] = [
    "scale",
    "leaks",
    "knocking",
    "priming",
    "wear",
    "cracks",
    "overheating",
    "corrosion",
    "vibration",
    "foaming",
    "loss of pressure",
    "misalignment",
    "a broken spring",
    "a blocked pipe",
    "a worn seat",
    "a loose key",
];
const DEEDS: [&str; 20] = [
    "holds the pressure of",
    "limits the speed of",
    "carries the load of",
    "feeds water to",
    "keeps dirt out of",
    "drains",
    "guides",
    "cools",
    "lubricates",
    "measures the level in",
    "separates steam from water in",
    "takes up the thrust of",
    "closes the way to",
    "balances",
    "starts",
    "protects",
    "connects the drive to",
    "recovers heat from",
    "supports",
    "reverses",
];

/// A small generator of numbers (xorshift64*), the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides as u64).unwrap()
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }
}

/// What a document speaks of again and again.
struct Subject {
    part: &'static str,
    other: &'static str,
    kind: &'static str,
    maker: &'static str,
}

/// Writes about so many kilobytes of Markdown into `folder`, which is made.
pub(crate) fn write(folder: &Path, kilobytes: usize) {
    std::fs::create_dir(folder).unwrap();
    let mut dice = Dice(0x57EA_4E61_4E5E_ED01);
    let (mut written, mut number) = (0, 0);
    while written < kilobytes * 1_000 {
        let length = (LEAST + dice.roll(MOST - LEAST)).min(kilobytes * 1_000);
        let text = document(&mut dice, number, length);
        written += text.len();
        std::fs::write(folder.join(format!("{number:05}.md")), text).unwrap();
        number += 1;
    }
}

fn document(dice: &mut Dice, number: usize, length: usize) -> String {
    let subject = Subject {
        part: PARTS[number % PARTS.len()],
        other: dice.of(&PARTS),
        kind: dice.of(&KINDS),
        maker: dice.of(&MAKERS),
    };
    let Subject { part, kind, maker, .. } = subject;
    let mut text = format!("# The {part} of {kind} engines at {maker}\n\n");
    writeln!(
        text,
        "The {part} is one of the parts of steam engines that {maker} has made since {}.\n",
        1_780 + dice.roll(140)
    )
    .unwrap();
    while text.len() < length {
        let heading = match dice.roll(5) {
            0 => format!("Care of the {part}"),
            1 => format!("The {part} and the {}", subject.other),
            2 => format!("{} in the {part}", capital(dice.of(&FAULTS))),
            3 => format!("Materials of the {part}"),
            _ => format!("The {part} of {} engines", dice.of(&KINDS)),
        };
        writeln!(text, "## {heading}\n").unwrap();
        for _ in 0..2 + dice.roll(3) {
            for _ in 0..3 + dice.roll(4) {
                text.push_str(&sentence(dice, &subject));
                text.push(' ');
            }
            text.push_str("\n\n");
        }
    }
    text
}

fn sentence(dice: &mut Dice, subject: &Subject) -> String {
    let Subject { part, other, kind, maker } = subject;
    let near = if dice.roll(3) == 0 { dice.of(&PARTS) } else { *other };
    let (material, fault, deed) = (dice.of(&MATERIALS), dice.of(&FAULTS), dice.of(&DEEDS));
    let number = 2 + dice.roll(180);
    match dice.roll(14) {
        0 => format!("The {part} of a steam engine {deed} the {near}."),
        1 => format!(
            "Engineers at {maker} make the {part} of {kind} engines from {material}, which resists {fault}."
        ),
        2 => format!(
            "A {kind} steam engine needs a {part} that withstands {number} pounds to the square inch."
        ),
        3 => format!("When the {near} fails, the {part} shows {fault} within {number} hours."),
        4 => format!("{} in the {part} is a sign that the {near} is out of order.", capital(fault)),
        5 => format!("The {part} is inspected every {number} days, because {fault} spreads to the {near}."),
        6 => format!("Before {} steam engines had a {part} of {material}.", 1_790 + dice.roll(120)),
        7 => format!("At {maker} the {part} was joined to the {near} by {number} bolts of {material}."),
        8 => format!("A stoker learns the {part} before he learns the {near}."),
        9 => format!(
            "The {near} of {kind} engines was copied from the {part} that {maker} sold in {}.",
            1_790 + dice.roll(120)
        ),
        10 => format!("It saves about {number} pounds of coal in a shift."),
        11 => format!("Without {material} the {part} wears out in {number} months."),
        12 => format!(
            "Steam engines with a second {part} suffer less from {fault}, while the {near} lasts longer."
        ),
        _ => format!("Inspectors found {fault} in the {part} of {number} {kind} engines."),
    }
}

fn capital(word: &str) -> String {
    let mut capital = word.to_owned();
    capital[..1].make_ascii_uppercase();
    capital
}
