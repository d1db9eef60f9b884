"""Debian's libraries as Bazel targets, found with pkg-config."""

def _pkg_config(ctx, flag, packages):
    result = ctx.execute(["pkg-config", flag] + packages)
    if result.return_code != 0:
        fail("pkg-config {} {} failed (tools/setup installs what bsockd needs):\n{}".format(
            flag,
            " ".join(packages),
            result.stderr,
        ))
    return [word for word in result.stdout.strip().split(" ") if word]

def _debian_libraries_impl(ctx):
    build = ["package(default_visibility = [\"//visibility:public\"])"]
    for name, packages in sorted(ctx.attr.libraries.items()):
        # /usr/include is a directory that the compilers search by themselves, as system headers,
        # so a library needs no hdrs and its warnings are not ours.
        defines = [
            word[2:]
            for word in _pkg_config(ctx, "--cflags", packages)
            if word.startswith("-D")
        ]
        build.append("cc_library(name = {}, defines = {}, linkopts = {})".format(
            repr(name),
            repr(defines),
            repr(_pkg_config(ctx, "--libs", packages)),
        ))
    ctx.file("BUILD.bazel", "\n".join(build) + "\n")

debian_libraries = repository_rule(
    implementation = _debian_libraries_impl,
    attrs = {
        "libraries": attr.string_list_dict(
            doc = "Target name to the pkg-config packages it stands for.",
            mandatory = True,
        ),
    },
    configure = True,
    local = True,
)
