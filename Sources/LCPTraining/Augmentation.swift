import Glibc
import Images
import LCPModels
import Platform

/// Turns pixels, or a signal's numbers, into what the branches see: normalised, and a little different in every epoch.
struct ImageLoader {
    private let shape: FeatureMapShape
    private let recipe: TrainingRecipe
    private let augments: Bool
    /// For each channel, what each of the 256 levels becomes.
    private var levels: [Float]
    private let isAffine: Bool
    /// Of a signal.
    private var normalization: ModelManifest.Preprocessing?

    init(
        shape: FeatureMapShape, preprocessing: ModelManifest.Preprocessing, recipe: TrainingRecipe, augments: Bool
    ) {
        self.shape = shape
        self.recipe = recipe
        self.augments = augments
        isAffine = recipe.rotation > 0 || recipe.shear > 0 || recipe.scaling > 0
        levels = Self.levels(shape, preprocessing)
        normalization = preprocessing.signal == nil ? nil : preprocessing
    }

    /// The same changes to images, normalised for another network.
    func normalizing(_ preprocessing: ModelManifest.Preprocessing) -> ImageLoader {
        var result = self
        result.levels = Self.levels(shape, preprocessing)
        result.normalization = preprocessing.signal == nil ? nil : preprocessing
        return result
    }

    private static func levels(_ shape: FeatureMapShape, _ preprocessing: ModelManifest.Preprocessing) -> [Float] {
        (0..<shape.channels).flatMap { channel in
            (0..<256).map {
                (Float($0) / 255 - preprocessing.mean[channel]) / preprocessing.standardDeviation[channel]
            }
        }
    }

    /// Loads an image, HWC, into a lane of a block.
    func load(
        _ pixels: UnsafePointer<UInt8>, into volume: Volume, block: Int, lane: Int, _ random: inout SeededGenerator
    ) {
        let layout = volume.layout
        let target = volume.block(block) + Int(layout.origin) + lane
        if let normalization { return numbers(pixels, normalization, target, volume, &random) }
        guard augments else {
            return copy(pixels, target, volume, shiftX: 0, shiftY: 0, isMirrored: false)
        }
        guard let qualities = recipe.jpeg.range, FrameEncoding.png.fits(shape) else {
            return change(pixels, target, volume, &random)
        }
        compressed(pixels, quality: qualities.lowerBound + random.index(qualities.count)).withUnsafeBufferPointer {
            change($0.baseAddress!, target, volume, &random)
        }
    }

    /// An image as it comes out of a JPEG.
    private func compressed(_ pixels: UnsafePointer<UInt8>, quality: Int) -> [UInt8] {
        let original = Array(UnsafeBufferPointer(start: pixels, count: shape.elementCount))
        let image = Image(height: shape.height, width: shape.width, channels: shape.channels, pixels: original)
        // Only without memory is there none; the image is good as it is.
        return (try? image.throughJPEG(quality: quality))?.pixels ?? original
    }

    /// Moves, mirrors, turns and blacks out.
    private func change(
        _ pixels: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ volume: Volume,
        _ random: inout SeededGenerator
    ) {
        let layout = volume.layout
        let reach = recipe.shift
        let (shiftX, shiftY) =
            reach > 0 ? (random.index(2 * reach + 1) - reach, random.index(2 * reach + 1) - reach) : (0, 0)
        let isMirrored = recipe.flips && random.index(2) == 1
        if isAffine {
            transform(
                pixels, target, volume, shift: (Float(shiftX), Float(shiftY)), isMirrored: isMirrored, &random)
        } else {
            copy(pixels, target, volume, shiftX: shiftX, shiftY: shiftY, isMirrored: isMirrored)
        }
        guard recipe.cutout > 0 else { return }
        let (centerX, centerY) = (random.index(shape.width), random.index(shape.height))
        let half = recipe.cutout / 2
        for channel in 0..<shape.channels {
            for row in max(0, centerY - half)..<min(shape.height, centerY - half + recipe.cutout) {
                let line = target + channel * Int(layout.channel_stride) + row * Int(layout.row_stride)
                for column in max(0, centerX - half)..<min(shape.width, centerX - half + recipe.cutout) {
                    line[column * Volume.lanes] = levels[channel * 256]
                }
            }
        }
    }

    private func copy(
        _ pixels: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ volume: Volume, shiftX: Int,
        shiftY: Int, isMirrored: Bool
    ) {
        let (height, width, channels) = (shape.height, shape.width, shape.channels)
        levels.withUnsafeBufferPointer { levels in
            for channel in 0..<channels {
                let level = levels.baseAddress! + channel * 256
                for row in 0..<height {
                    let line =
                        target + channel * Int(volume.layout.channel_stride) + row * Int(volume.layout.row_stride)
                    let sourceRow = row + shiftY
                    guard (0..<height).contains(sourceRow) else {
                        for column in 0..<width { line[column * Volume.lanes] = level[0] }
                        continue
                    }
                    let source = pixels + sourceRow * width * channels + channel
                    for column in 0..<width {
                        let place = (isMirrored ? width - 1 - column : column) + shiftX
                        line[column * Volume.lanes] =
                            place >= 0 && place < width ? level[Int(source[place * channels])] : level[0]
                    }
                }
            }
        }
    }

    /// A signal: shifted in time, with what is usual for what comes in, and with noise.
    private func numbers(
        _ bytes: UnsafePointer<UInt8>, _ normalization: ModelManifest.Preprocessing,
        _ target: UnsafeMutablePointer<Float>, _ volume: Volume, _ random: inout SeededGenerator
    ) {
        let reach = augments ? min(recipe.shift, shape.width - 1) : 0
        let shift = reach > 0 ? random.index(2 * reach + 1) - reach : 0
        let noise = augments ? recipe.noise : 0
        let source = UnsafeRawPointer(bytes)
        for channel in 0..<shape.channels {
            let (mean, deviation) = (normalization.mean[channel], normalization.standardDeviation[channel])
            for row in 0..<shape.height {
                let line = target + channel * Int(volume.layout.channel_stride) + row * Int(volume.layout.row_stride)
                for column in 0..<shape.width {
                    let place = column + shift
                    var value: Float = 0
                    if (0..<shape.width).contains(place) {
                        let index = (row * shape.width + place) * shape.channels + channel
                        value = (source.loadUnaligned(fromByteOffset: 4 * index, as: Float.self) - mean) / deviation
                    }
                    if noise > 0 { value += noise * random.normal() }
                    line[column * Volume.lanes] = value
                }
            }
        }
    }

    /// Through a random affine map around the centre, bilinear; outside it is black.
    private func transform(
        _ pixels: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ volume: Volume,
        shift: (x: Float, y: Float), isMirrored: Bool, _ random: inout SeededGenerator
    ) {
        let (height, width, channels) = (shape.height, shape.width, shape.channels)
        let angle = random.uniform(-recipe.rotation, recipe.rotation)
        let shear = random.uniform(-recipe.shear, recipe.shear)
        let scaleX = random.uniform(1 - recipe.scaling, 1 + recipe.scaling)
        let scaleY = random.uniform(1 - recipe.scaling, 1 + recipe.scaling)
        let side: Float = isMirrored ? -1 : 1
        let (a, b) = (side * cosf(angle) / scaleX, -sinf(angle) / scaleX + shear)
        let (c, d) = (side * sinf(angle) / scaleY, cosf(angle) / scaleY)
        let (centerX, centerY) = (Float(width - 1) / 2, Float(height - 1) / 2)
        for channel in 0..<channels {
            let black = levels[channel * 256]
            let step = levels[channel * 256 + 1] - black
            for row in 0..<height {
                let line = target + channel * Int(volume.layout.channel_stride) + row * Int(volume.layout.row_stride)
                let dy = Float(row) - centerY
                for column in 0..<width {
                    let dx = Float(column) - centerX
                    let x = a * dx + b * dy + centerX + shift.x
                    let y = c * dx + d * dy + centerY + shift.y
                    guard x > -1, y > -1, x < Float(width), y < Float(height) else {
                        line[column * Volume.lanes] = black
                        continue
                    }
                    let (x0, y0) = (Int(x + 1) - 1, Int(y + 1) - 1)
                    let (fx, fy) = (x - Float(x0), y - Float(y0))
                    func pixel(_ x: Int, _ y: Int) -> Float {
                        x >= 0 && y >= 0 && x < width && y < height
                            ? Float(pixels[(y * width + x) * channels + channel]) : 0
                    }
                    let upper = pixel(x0, y0) * (1 - fx) + pixel(x0 + 1, y0) * fx
                    let lower = pixel(x0, y0 + 1) * (1 - fx) + pixel(x0 + 1, y0 + 1) * fx
                    line[column * Volume.lanes] = black + step * (upper * (1 - fy) + lower * fy)
                }
            }
        }
    }
}
