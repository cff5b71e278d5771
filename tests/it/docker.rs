//! The files in docker/ fit the rest of the repository. What only an engine can tell is not tested here.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between `open` and the next `close`, wherever `open` occurs.
fn between<'t>(text: &'t str, open: &'t str, close: char) -> impl Iterator<Item = &'t str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
}

#[test]
fn every_secret_has_to_be_given_and_none_has_a_default() {
    let (compose, example) = (read("docker/compose.yaml"), read("docker/.env.example"));
    let mut secrets = 0;
    for variable in between(&compose, "${", '}') {
        let name = variable.split(':').next().unwrap();
        assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
        if name.ends_with("_PASSWORD") {
            assert!(variable.starts_with(&format!("{name}:?")), "{variable} has a default");
            assert!(example.contains(&format!("{name}=\n")), "{name} has a value in .env.example");
            secrets += 1;
        }
    }
    assert!(secrets >= 3, "{secrets} secrets");
    let given = compose.lines().filter(|line| line.contains("PASS") && !line.contains("${"));
    assert_eq!(given.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_mounted_folder_is_there_and_every_port_is_the_loopbacks() {
    let compose = read("docker/compose.yaml");
    let mounts: Vec<&str> = between(&compose, "- ./", ':').collect();
    assert!(mounts.len() >= 3, "{mounts:?}");
    for mount in mounts {
        assert!(root().join("docker").join(mount).exists(), "docker/{mount}");
    }
    let lines: Vec<&str> = compose.lines().map(str::trim).collect();
    let mut ports = 0;
    for (index, _) in lines.iter().enumerate().filter(|(_, line)| **line == "ports:") {
        for port in lines[index + 1..].iter().take_while(|line| line.starts_with("- ")) {
            assert!(port.starts_with("- \"127.0.0.1:"), "{port}");
            ports += 1;
        }
    }
    assert!(ports >= 5, "{ports} ports");
}

#[test]
fn the_image_is_built_by_the_pinned_toolchain_and_runs_as_nobody_special() {
    let dockerfile = read("docker/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = between(&toolchain, "channel = \"", '"').next().unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{channel}-")), "{channel}");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={channel}\n")), "{channel}");
    let last_stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    let user = between(last_stage, "\nUSER ", '\n').last().unwrap();
    assert!(!user.starts_with('0') && !user.starts_with("root"), "{user}");
}

#[test]
fn what_the_build_needs_reaches_it() {
    let ignored = read("docker/Dockerfile.dockerignore");
    let let_in = |path: &str| {
        let first = path.split('/').next().unwrap();
        ignored.lines().any(|line| line == format!("!{first}"))
    };
    let manifest = read("Cargo.toml");
    let members = between(&manifest, "members = [", ']').next().unwrap();
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        assert!(let_in(member), "{member}");
    }
    let mut included = 0;
    for source in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&source).unwrap();
        for path in between(&text, "include_str!(\"", '"') {
            let target = source.parent().unwrap().join(path).canonicalize().unwrap();
            let below = target.strip_prefix(root().canonicalize().unwrap()).unwrap();
            assert!(let_in(below.to_str().unwrap()), "{} needs {}", source.display(), below.display());
            included += 1;
        }
    }
    assert!(included > 3, "{included} files");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().chain(below).filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}
