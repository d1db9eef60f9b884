"""Debian's libraries as Bazel targets, found with pkg-config.

Optimised builds (-c opt) link what Debian has an archive of into the program, so that it runs where
those libraries are not installed; and spdlog and fmt, which have none, as headers. The other builds
link shared libraries, because that is quicker.
"""

def _pkg_config(ctx, flag, packages):
    result = ctx.execute(["pkg-config", flag] + packages)
    if result.return_code != 0:
        fail("pkg-config {} {} failed (tools/setup installs what bsockd needs):\n{}".format(
            flag,
            " ".join(packages),
            result.stderr,
        ))
    return [word for word in result.stdout.strip().split(" ") if word]

# `-lNAME` as the archive, where there is one.
def _archive_of(ctx, word):
    if not word.startswith("-l"):
        return word
    archive = "lib{}.a".format(word[2:])
    found = ctx.execute(["g++", "-print-file-name=" + archive]).stdout.strip()
    # What it does not find g++ prints as it is.
    return "-l:" + archive if found.startswith("/") else word

def _debian_libraries_impl(ctx):
    build = [
        "package(default_visibility = [\"//visibility:public\"])",
        "config_setting(name = \"optimised\", values = {\"compilation_mode\": \"opt\"})",
    ]
    for name, packages in sorted(ctx.attr.libraries.items()):
        # /usr/include is a directory that the compilers search by themselves, as system headers,
        # so a library needs no hdrs and its warnings are not ours.
        defines = [
            word[2:]
            for word in _pkg_config(ctx, "--cflags", packages)
            if word.startswith("-D")
        ]
        linkopts = _pkg_config(ctx, "--libs", packages)
        optimised_defines = defines
        optimised_linkopts = [_archive_of(ctx, word) for word in linkopts]
        if name in ctx.attr.header_only:
            optimised_defines = ctx.attr.header_only[name]
            optimised_linkopts = []
        build.append((
            "cc_library(name = {}, " +
            "defines = select({{\":optimised\": {}, \"//conditions:default\": {}}}), " +
            "linkopts = select({{\":optimised\": {}, \"//conditions:default\": {}}}))"
        ).format(
            repr(name),
            repr(optimised_defines),
            repr(defines),
            repr(optimised_linkopts),
            repr(linkopts),
        ))
    ctx.file("BUILD.bazel", "\n".join(build) + "\n")

debian_libraries = repository_rule(
    implementation = _debian_libraries_impl,
    attrs = {
        "libraries": attr.string_list_dict(
            doc = "Target name to the pkg-config packages it stands for.",
            mandatory = True,
        ),
        "header_only": attr.string_list_dict(
            doc = "Target name to the defines with which its headers need no library.",
        ),
    },
    configure = True,
    local = True,
)
