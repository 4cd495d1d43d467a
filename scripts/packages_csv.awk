# The package index (deb822 paragraphs, as `apt-cache dumpavail` prints them) as CSV.
function quoted(s) {
    if (s ~ /[",\r\n]/) {
        gsub(/"/, "\"\"", s)
        return "\"" s "\""
    }
    return s
}
# The host of the maintainer's address: who looks after the package, without naming people.
function domain(s) {
    sub(/^.*@/, "", s)
    sub(/>.*$/, "", s)
    return s
}
function flush_row() {
    if ("Package" in f)
        print quoted(f["Package"]) "," quoted(f["Version"]) "," f["Architecture"] "," f["Section"] "," f["Priority"] "," \
            f["Installed-Size"] "," f["Size"] "," quoted(domain(f["Maintainer"])) "," quoted(f["Description"])
    split("", f)
}
BEGIN { print "package,version,architecture,section,priority,installed_kib,download_bytes,maintained_at,description" }
/^[A-Za-z0-9-]+:/ {
    at = index($0, ":")
    key = substr($0, 1, at - 1)
    value = substr($0, at + 1)
    sub(/^ +/, "", value)
    f[key] = value
    next
}
/^$/ { flush_row() }
END { flush_row() }
