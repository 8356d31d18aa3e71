import CTrainingKernels
import LCPModels

/// Floats at a fixed place that vectors can be read from, all zero at first.
final class Buffer {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int

    init(_ count: Int) {
        self.count = count
        let bytes = (max(1, count) * MemoryLayout<Float>.stride + 63) / 64 * 64
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        pointer = memory.initializeMemory(as: Float.self, repeating: 0, count: bytes / MemoryLayout<Float>.stride)
    }

    deinit { pointer.deallocate() }
}

/// The feature maps of a batch, sixteen images side by side: [block][channel][row][column][image of the block].
///
/// Columns have a halo of zeros on both sides, as wide as a convolution that reads them needs.
final class Volume {
    /// Images in a block.
    static let lanes = Int(LCP_LANES)

    let shape: FeatureMapShape
    let blocks: Int
    /// Columns of zeros on each side.
    let halo: Int
    let layout: lcp_volume
    private let buffer: Buffer

    init(_ shape: FeatureMapShape, blocks: Int, halo: Int = 0) {
        self.shape = shape
        self.blocks = blocks
        self.halo = halo
        let row = (shape.width + 2 * halo) * Volume.lanes
        layout = lcp_volume(
            channels: Int32(shape.channels), height: Int32(shape.height), width: Int32(shape.width),
            channel_stride: Int32(row * shape.height), row_stride: Int32(row), origin: Int32(halo * Volume.lanes),
            block_stride: Int64(row * shape.height * shape.channels))
        buffer = Buffer(blocks * Int(layout.block_stride))
    }

    /// Everything.
    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }

    /// The floats of all blocks, halos included.
    var count: Int { buffer.count }

    /// Whether a channel's numbers follow the last one's without a gap, as a fully connected layer reads them.
    var isCompact: Bool { halo == 0 }

    /// The numbers of one block.
    func block(_ index: Int) -> UnsafeMutablePointer<Float> { buffer.pointer + index * Int(layout.block_stride) }

    func clear(_ blocks: Range<Int>) {
        let size = Int(layout.block_stride)
        (buffer.pointer + blocks.lowerBound * size).update(repeating: 0, count: blocks.count * size)
    }
}

/// What a layer makes of a batch, and where the layers that read it leave the slope of the loss.
struct Value {
    let values: Volume
    /// Nil for the images, and where nothing is trained.
    let gradient: Volume?
}
