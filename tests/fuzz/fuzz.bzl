"""Fuzz targets that are tests as well."""

def fuzz_target(name, deps):
    """NAME.cc, which defines LLVMFuzzerTestOneInput, as a test.

    It runs over every file of corpus/NAME: as it stands with replay_main.cc, under --config=fuzz
    with libFuzzer, which tools/fuzz runs to find new inputs.

    Args:
      name: the target, its source without .cc, and its folder in corpus/.
      deps: what it needs.
    """
    corpus = native.package_name() + "/corpus/" + name
    native.cc_test(
        name = name,
        size = "small",
        srcs = [name + ".cc"] + select({
            ":fuzzing": [],
            "//conditions:default": ["replay_main.cc"],
        }),
        args = select({
            ":fuzzing": ["-runs=0"],
            "//conditions:default": [],
        }) + [corpus],
        data = native.glob(["corpus/" + name + "/**"]),
        linkopts = select({
            ":fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        tags = ["unsanitized"],  # --config=fuzz has the sanitizers.
        linkstatic = True,  # So that no library escapes the fuzzer's view.
        deps = deps,
    )
