import Foundation
import Testing

/// `Scripts/check-imports.sh`, which `make lint` runs, on a small project.
@Suite struct ImportCheckTests {
    /// Two modules, of which the second may use the first.
    struct Project {
        var package = """
            targets: [
                room("Platform", []),
                room("Lower", ["Platform"]),
                room("Upper", ["Lower", .product(name: "DequeModule", package: "swift-collections")]),
                .testTarget(name: "UpperTests", dependencies: ["Upper"]),
            ]
            """
        var table = """
            ## Modules

            | module | what is in it | may use |
            |---|---|---|
            | `Platform` | files | |
            | `Lower` | values | |
            | `Upper` | what uses `Nothing` | `Lower` |

            ## Others
            | `Elsewhere` | | |
            """
        var sources = [
            "Sources/Platform/A.swift": "import Glibc\n",
            "Sources/Lower/A.swift": "import Platform\n",
            "Sources/Upper/A.swift": "import DequeModule\npublic import Lower\n",
            "Tests/UpperTests/A.swift": "import Testing\n@testable import Upper\n",
        ]

        /// The exit status and what was said.
        func check() async throws -> Outcome {
            let folder = NSTemporaryDirectory() + "lcp-imports-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let files = sources.merging(["Package.swift": package, "Documentation/architecture.md": table]) { $1 }
            for (path, text) in files {
                let file = URL(fileURLWithPath: "\(folder)/\(path)")
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: file)
            }
            return try await run("/bin/sh", [Repository.root.path + "/Scripts/check-imports.sh", folder])
        }
    }

    @Test("A project whose imports, package and table agree passes")
    func agreement() async throws {
        let outcome = try await Project().check()
        #expect(outcome.status == 0 && outcome.output.isEmpty, "\(outcome)")
    }

    @Test("An import that the package does not declare fails, in sources and in tests")
    func undeclared() async throws {
        for (file, text) in [
            ("Sources/Upper/B.swift", "import Platform\n"), ("Sources/Lower/B.swift", "import Upper\n"),
            ("Tests/UpperTests/B.swift", "import Lower\n"), ("Sources/Platform/B.swift", "import Unheard\n"),
        ] {
            var project = Project()
            project.sources[file] = text
            let outcome = try await project.check()
            #expect(outcome.status == 1 && outcome.output.contains("\(file) imports"), "\(outcome)")
        }
    }

    @Test("A dependency that the table does not allow fails")
    func backward() async throws {
        var project = Project()
        project.package = project.package.replacingOccurrences(
            of: #"room("Lower", ["Platform"])"#, with: #"room("Lower", ["Platform", "Upper"])"#)
        project.sources["Sources/Lower/B.swift"] = "import Upper\n"
        let outcome = try await project.check()
        #expect(outcome.status == 1 && outcome.output.contains("Lower may not use Upper"), "\(outcome)")
    }

    @Test("A table whose rows use rows below them fails")
    func cycle() async throws {
        var project = Project()
        project.table = project.table.replacingOccurrences(
            of: "| `Lower` | values | |", with: "| `Lower` | values | `Upper` |")
        let outcome = try await project.check()
        #expect(outcome.status == 1 && outcome.output.contains("which does not stand above it"), "\(outcome)")
    }

    @Test("A declared dependency that is not imported, and a module without a row, fail")
    func leftovers() async throws {
        var project = Project()
        project.sources["Sources/Lower/A.swift"] = "import Glibc\n"
        var outcome = try await project.check()
        #expect(outcome.status == 1 && outcome.output.contains("declares Platform for Lower"), "\(outcome)")
        project = Project()
        project.table = project.table.replacingOccurrences(of: "| `Upper`", with: "| Upper")
        outcome = try await project.check()
        #expect(outcome.status == 1 && outcome.output.contains("Upper has no row"), "\(outcome)")
    }

    @Test("Where there is nothing to check, it fails")
    func nothing() async throws {
        var project = Project()
        project.package = "\n"
        #expect(try await project.check().status == 1)
    }
}
