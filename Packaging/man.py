#!/usr/bin/env python3
"""Writes manual pages made of the commands' own help.

    lcp --experimental-dump-help | Packaging/man.py VERSION DATE FOLDER

lcp(1) and a page for every command: lcp-worker(1), lcp-model(1), lcp-model-push(1) …
"""
import json
import os
import sys


def roff(text):
    """Text that is taken as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return text


def paragraph(text):
    """Paragraphs are filled; what is indented, and what ends with a colon before it, is not."""
    lines, is_example = [], False
    for line in text.split("\n"):
        indented = line.startswith("  ")
        if indented and not is_example:
            lines += [".PP", ".RS 2", ".nf"]
        if not indented and is_example:
            lines += [".fi", ".RE"]
        is_example = indented
        if not line.strip():
            lines.append(".PP")
            continue
        words = roff(line[2:] if indented else line)
        lines.append("\\&" + words if words[0] in ".'" else words)
    if is_example:
        lines += [".fi", ".RE"]
    return lines


def spelled(argument):
    value = "\\fI" + roff(argument.get("valueName", "value")) + "\\fR"
    if argument["kind"] == "positional":
        return value + (" …" if argument["isRepeating"] else "")
    names = ["\\fB" + roff(("--" if n["kind"] == "long" else "-") + n["name"]) + "\\fR" for n in argument["names"]]
    return ", ".join(names) + (" " + value if argument["kind"] == "option" else "")


def page(command, names, version, date, folder):
    name = "-".join(names)
    path = " ".join(names)
    arguments = [a for a in command.get("arguments", []) if a["shouldDisplay"]]
    subcommands = [c for c in command.get("subcommands", []) if c["commandName"] != "help" and c.get("shouldDisplay", True)]
    out = [
        f'.TH "{roff(name.upper())}" 1 "{date}" "lcp {roff(version)}" "lcp"',
        ".SH NAME",
        f"{roff(name)} \\- {roff(command.get('abstract', '').rstrip('.'))}",
        ".SH SYNOPSIS",
        f"\\fB{roff(path)}\\fR",
    ]
    if subcommands:
        out.append("\\fIcommand\\fR …")
    if any(a["kind"] != "positional" for a in arguments):
        out.append("[\\fIoptions\\fR]")
    for argument in arguments:
        if argument["kind"] == "positional":
            out.append(f"[{spelled(argument)}]" if argument["isOptional"] else spelled(argument))
    if command.get("discussion"):
        out += [".SH DESCRIPTION"] + paragraph(command["discussion"])
    if subcommands:
        out.append(".SH COMMANDS")
        for sub in subcommands:
            out += [".TP", f"\\fB{roff(name)}\\-{roff(sub['commandName'])}\\fR(1)", roff(sub.get("abstract", ""))]
    for title, kinds in [("ARGUMENTS", ["positional"]), ("OPTIONS", ["option", "flag"])]:
        chosen = [a for a in arguments if a["kind"] in kinds]
        if chosen:
            out.append(".SH " + title)
        for argument in chosen:
            text = argument.get("abstract", "")
            if argument.get("defaultValue") and "default:" not in text:
                text += f" (default: {argument['defaultValue']})"
            out += [".TP", spelled(argument), "\\&" + roff(text)]
    out += [".SH SEE ALSO", "\\fBlcp\\fR(1)" if len(names) > 1 else "/usr/share/doc/lcp"]
    with open(os.path.join(folder, name + ".1"), "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
    for sub in subcommands:
        page(sub, names + [sub["commandName"]], version, date, folder)


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: lcp --experimental-dump-help | man.py VERSION DATE FOLDER")
    page(json.load(sys.stdin)["command"], ["lcp"], *sys.argv[1:])


main()
