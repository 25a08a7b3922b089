// SPDX-License-Identifier: GPL-2.0

//! `seal`: ties a patch object to the kernel that it is for, offline.

use super::map;
use crate::cli;
use crate::failure::Failure;
use crate::output::{table, Output, Report};
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::kmod::Kmod;
use lpatch_loader::seal::{self, Stock};
use lpatch_loader::symtab;
use lpatch_loader::target::hex;
use lpatch_loader::unpack::unpack;
use lpatch_loader::vmlinux::Vmlinux;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a target directory, or a kernel's build directory, has its image.
const IMAGES: &[&str] = &["arch/x86/boot/bzImage", "vmlinux", "vmlinuz"];
/// And its symbols.
const SYMBOLS: &[&str] = &["kallsyms", "System.map"];

fn failure(path: &Path, why: impl Display) -> Failure {
    Failure::Seal {
        path: path.into(),
        why: why.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| failure(path, error))
}

fn first_of(target: &Path, names: &[&str]) -> Result<PathBuf, Failure> {
    let paths = names.iter().map(|name| target.join(name));
    let found = paths.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        let names = names.join(", ");
        failure(
            target,
            format!("it has none of {names}; give a target directory, or --vmlinux and --kallsyms"),
        )
    })
}

/// Where the parts of the target are.
struct Paths {
    image: PathBuf,
    symbols: PathBuf,
    modules: Option<PathBuf>,
    release: Option<PathBuf>,
}

fn paths(args: &cli::Seal) -> Result<Paths, Failure> {
    let pick = |given: &Option<PathBuf>, names: &[&str]| match (given, &args.target) {
        (Some(path), _) => Ok(path.clone()),
        (None, Some(target)) => first_of(target, names),
        // clap has made sure of one of them.
        (None, None) => Err(Failure::Argument("neither --target nor --vmlinux".into())),
    };
    let release = args.target.as_ref().map(|target| target.join("release"));
    let modules = args.target.as_ref().map(|target| {
        let own = target.join("modules");
        if own.is_dir() {
            own
        } else {
            target.clone()
        }
    });
    Ok(Paths {
        image: pick(&args.vmlinux, IMAGES)?,
        symbols: pick(&args.kallsyms, SYMBOLS)?,
        modules: args.modules.clone().or(modules),
        release: release.filter(|path| path.is_file()),
    })
}

/// A dump of /proc/kallsyms, or the symbol table of a vmlinux.
fn kallsyms(path: &Path) -> Result<Kallsyms, Failure> {
    let bytes = read(path)?;
    let text = match symtab::kallsyms(&bytes) {
        Some(text) => text,
        None => String::from_utf8(bytes)
            .map_err(|_| failure(path, "neither a list of symbols nor a vmlinux that has one"))?,
    };
    Kallsyms::parse(text).map_err(|error| failure(path, error))
}

/// The name of the module in a file of this name: its stem, with the underscores that modprobe allows to
/// be dashes.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (stem, suffix) = file.split_once(".ko")?;
    matches!(suffix, "" | ".xz" | ".zst" | ".gz").then(|| stem.replace('-', "_"))
}

/// Finds files of modules in a directory, however deep.
fn find_modules(directory: &Path, names: &[String]) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut found = BTreeMap::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(directory) = todo.pop() {
        let entries = fs::read_dir(&directory).map_err(|error| failure(&directory, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failure(&directory, error))?;
            // Links are not followed: modules/build leads into a source tree.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let name = module_name(&entry.path());
                    if let Some(name) = name.filter(|name| names.contains(name)) {
                        found.insert(name, entry.path());
                    }
                }
                _ => (),
            }
        }
    }
    Ok(found)
}

/// Files of modules by name, unpacked.
pub(super) type ModuleFiles = BTreeMap<String, (PathBuf, Vec<u8>)>;

/// Reads the files of modules in a directory, however deep.
pub(super) fn read_modules(directory: &Path, names: &[String]) -> Result<ModuleFiles, Failure> {
    let mut files = BTreeMap::new();
    if names.is_empty() {
        return Ok(files);
    }
    for (name, path) in find_modules(directory, names)? {
        let bytes = unpack(read(&path)?).map_err(|error| failure(&path, error))?;
        files.insert(name, (path, bytes));
    }
    Ok(files)
}

/// What is in them.
pub(super) fn parse_modules(files: &ModuleFiles) -> Result<BTreeMap<String, Kmod<'_>>, Failure> {
    let parsed = files.iter().map(|(name, (path, bytes))| {
        let kmod = Kmod::new(bytes).map_err(|error| failure(path, error))?;
        Ok((name.clone(), kmod))
    });
    parsed.collect()
}

fn check_release(path: &Path, image: &Path, release: &str) -> Result<(), Failure> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    if text.trim() == release {
        return Ok(());
    }
    let why = format!(
        "it says {:?}, but {} is {release}; set the target up again",
        text.trim(),
        image.display()
    );
    Err(failure(path, why))
}

/// Seals a file.
pub(crate) fn run(args: &cli::Seal, output: &mut Output) -> Result<Report, Failure> {
    let start = Instant::now();
    let file = map(&args.file)?;
    let names = seal::modules(&file).map_err(|error| failure(&args.file, error))?;

    let paths = paths(args)?;
    let image = unpack(read(&paths.image)?).map_err(|error| failure(&paths.image, error))?;
    let symbols = kallsyms(&paths.symbols)?;
    let vmlinux = Vmlinux::new(&image, symbols).map_err(|error| failure(&paths.image, error))?;
    if let Some(path) = &paths.release {
        check_release(path, &paths.image, vmlinux.release())?;
    }
    let files = match &paths.modules {
        Some(directory) => read_modules(directory, &names)?,
        None => BTreeMap::new(),
    };
    let modules = parse_modules(&files)?;
    let stock = Stock { vmlinux, modules };
    output.step("target", stock.vmlinux.release(), start.elapsed());

    let start = Instant::now();
    let sealed = seal::seal(&file, &stock, args.force).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        failure(&args.file, lines.join("\n  "))
    })?;
    // The input may be the output, and it is mapped.
    drop(file);
    fs::write(&args.output, &sealed.file).map_err(|error| failure(&args.output, error))?;
    let detail = format!("{} bytes in {}", sealed.file.len(), args.output.display());
    output.step("seal", &detail, start.elapsed());
    for error in &sealed.forced {
        eprintln!("lpatch: warning: sealed by force: {error}");
    }

    let heading = ["FUNCTION", "BYTES", "COMPARED", "CRC"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut functions: Vec<Value> = Vec::new();
    for (name, preimage) in sealed.names.iter().zip(&sealed.preimages) {
        let (len, compared, crc) = (preimage.len, preimage.compared(), preimage.crc);
        rows.push(vec![
            name.clone(),
            len.to_string(),
            compared.to_string(),
            format!("{crc:08x}"),
        ]);
        functions.push(json!({"name": name, "len": len, "compared": compared, "crc": crc}));
    }
    let build_id = hex(stock.vmlinux.build_id());
    Ok(Report {
        code: 0,
        text: format!(
            "{}\n\nsealed for {}, build {build_id}",
            table(&rows),
            stock.vmlinux.release()
        ),
        json: json!({
            "release": stock.vmlinux.release(),
            "build_id": build_id,
            "functions": functions,
            "forced": sealed.forced.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    })
}
