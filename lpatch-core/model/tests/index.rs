// SPDX-License-Identifier: GPL-2.0

//! The handler's search, in C, finds what the model finds.

use lpatch_model::index::{fill, room, Index, Slot};
use lpatch_model::routes::Route;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

const TEXT: u64 = 0xffff_ffff_8100_0000;

fn routes(count: u64) -> Vec<Route> {
    let route = |i: u64| Route {
        ip: TEXT + 0x30 * i + 4,
        from: if i % 3 == 0 { 0 } else { TEXT + i },
        to: TEXT + i,
        ..Route::default()
    };
    (0..count).map(route).collect()
}

/// A program that prints what C finds for each site, one a line.
fn program(index: &Index<'_>, sites: &[u64]) -> String {
    let mut text = String::from(
        "#include <stdio.h>\n#include \"index.h\"\nstatic const struct lp_slot slots[] = {\n",
    );
    for slot in index.slots {
        writeln!(text, "\t{{ {}, {} }},", slot.ip, slot.to).expect("a String takes it");
    }
    let (multiplier, mask) = (index.multiplier, index.slots.len() - 1);
    writeln!(
        text,
        "}};\nstatic const struct lp_index table = {{ {multiplier}u, slots, {mask}, 0 }};\nstatic const unsigned long sites[] = {{"
    )
    .expect("a String takes it");
    for site in sites {
        writeln!(text, "\t{site:#x},").expect("a String takes it");
    }
    text.push_str(
        "};\nint main(void)\n{\n\tfor (unsigned int i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)\n\
         \t\tprintf(\"%d\\n\", lp_index_find(&table, lp_index_first(&table, sites[i]), sites[i]));\n\treturn 0;\n}\n",
    );
    text
}

fn run(name: &str, program: &str) -> String {
    let shim = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/shim");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (scratch.join(format!("{name}.c")), scratch.join(name));
    fs::write(&source, program).expect("the target directory can be written");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&cc)
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", shim, "-o"])
        .args([&binary, &source])
        .output()
        .unwrap_or_else(|error| {
            panic!("the C compiler `{cc}` does not run ({error}): install gcc and libc6-dev, or set CC")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let output = Command::new(&binary).output().expect("it was just made");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("it prints numbers")
}

#[test]
fn c_finds_the_same() {
    for count in [0, 1, 7, 300] {
        let routes = routes(count);
        let mut slots = vec![Slot::default(); room(routes.len()).expect("it is small")];
        let index = fill(&mut slots, &routes).expect("they are kernel addresses");
        let mut sites: Vec<u64> = routes.iter().map(|route| route.ip).collect();
        // Those that are not there, too.
        sites.extend((0..count + 10).map(|i| TEXT + 0x30 * i + 0x14));
        let expected = sites.iter().fold(String::new(), |mut all, site| {
            writeln!(all, "{}", index.find(*site)).expect("a String takes it");
            all
        });
        let name = format!("index_{count}");
        assert_eq!(run(&name, &program(&index, &sites)), expected);
    }
}
