import Testing

/// What bash offers with lcp's own script: the scripts of zsh and fish ask the program the same.
@Suite struct CompletionTests {
    private static let script = """
        set -u
        PATH=$(dirname "$1"):$PATH
        source /dev/stdin <<<"$("$1" --generate-completion-script bash)"
        COMP_LINE=$2
        COMP_POINT=${#COMP_LINE}
        read -ra COMP_WORDS <<<"$COMP_LINE"
        case "$COMP_LINE" in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        COMPREPLY=()
        _lcp lcp "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"
        """

    @Test(
        "Behind a command and an option, the shell offers what can stand there",
        arguments: [
            ("lcp mod", "model"), ("lcp model pus", "push"), ("lcp predict lenet-split4-", "lenet-split4-int8"),
            ("lcp model show ale", "alexnet"), ("lcp worker --model /us", "/usr"),
            ("lcp worker --config /etc/passw", "/etc/passwd"), ("lcp predict lenet-split4 /etc/hostn", "/etc/hostname"),
            ("lcp init --role agg", "aggregator aggregator,worker"), ("lcp sensor --source rp", "rpicam"),
        ])
    func bash(line: String, offered: String) async throws {
        let outcome = try await run("/bin/bash", ["--norc", "-c", Self.script, "bash", Repository.lcp, line])
        let words = outcome.output.split(whereSeparator: \.isWhitespace)
        let expected = offered.split(separator: " ")
        #expect(expected.allSatisfy(words.contains) && words.count <= expected.count + 1, "\(outcome)")
    }
}
