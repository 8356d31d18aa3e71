import Glibc
import LCPWire
import Platform

/// Runs a program of the system to its end.
enum SystemProgram {
    /// - Parameter batch: lines that the program reads from its descriptor 3.
    /// - Returns: what it wrote to standard output.
    /// - Throws: ``PipelineError`` with what it complained of, where it is missing or fails.
    @discardableResult
    static func run(_ name: String, _ arguments: [String], batch: [String] = []) throws(PipelineError) -> String {
        guard let path = ChildProcess.find(name) else {
            throw PipelineError(
                .processFailed,
                "there is no program \(name) on this machine: install it with `sudo apt install iproute2`")
        }
        do {
            let input = try MemoryFile(name: name, text: batch.map { $0 + "\n" }.joined())
            let (output, errors) = (try MemoryFile(name: "out", text: ""), try MemoryFile(name: "errors", text: ""))
            lseek(input.descriptor, 0, SEEK_SET)
            let child = try ChildProcess(
                executable: path, arguments: arguments, inherited: input.descriptor,
                output: .descriptor(output.descriptor), errorOutput: .descriptor(errors.descriptor))
            while child.poll() == nil { usleep(500) }
            guard child.poll() == 0 else {
                let words = text(errors).split(separator: "\n").first.map(String.init) ?? "it said nothing"
                throw PipelineError(
                    .processFailed, "\(name) \(arguments.joined(separator: " ")) failed: \(words.printable)")
            }
            return text(output)
        } catch let error as PipelineError {
            throw error
        } catch {
            throw PipelineError(.processFailed, "\(error)")
        }
    }

    private static func text(_ file: MemoryFile) -> String {
        String(decoding: (try? file.bytes()) ?? [], as: UTF8.self)
    }
}
