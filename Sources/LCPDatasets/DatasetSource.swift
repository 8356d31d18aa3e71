/// Where a data set can be had, and how its archives are told from others.
public struct DatasetSource: Sendable, Hashable {
    /// One file on a server.
    public struct Archive: Sendable, Hashable {
        public enum Format: Sendable, Hashable {
            /// One file, compressed.
            case gzip
            /// Several files in an archive, compressed. Other files in it are left alone.
            case compressedTar
        }

        /// The file's name on the server.
        public var name: String
        public var byteCount: Int
        /// The MD5 digest that its publisher tells, as 32 hexadecimal digits.
        public var md5: String
        public var format: Format
        /// The names of the files that come out.
        public var files: [String]

        public init(name: String, byteCount: Int, md5: String, format: Format, files: [String]) {
            self.name = name
            self.byteCount = byteCount
            self.md5 = md5
            self.format = format
            self.files = files
        }
    }

    /// The data set's name, as ``DataSpecification`` writes it.
    public var name: String
    /// The address in front of the archives' names, with no slash at its end.
    public var home: String
    public var archives: [Archive]

    public init(name: String, home: String, archives: [Archive]) {
        self.name = name
        self.home = home
        self.archives = archives
    }

    /// The data sets that lcp knows where to find.
    public static let all = [mnist, fashionMNIST, cifar10, cifar100]

    /// LeCun, Cortes and Burges. Mirror and digests as in PyTorch's torchvision/datasets/mnist.py, class MNIST.
    public static let mnist = DatasetSource(
        name: "mnist", home: "https://ossci-datasets.s3.amazonaws.com/mnist",
        archives: idx([
            ("train-images-idx3-ubyte", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ]))

    /// Xiao, Rasul and Vollgraf 2017. Home and digests as in torchvision/datasets/mnist.py, class FashionMNIST.
    public static let fashionMNIST = DatasetSource(
        name: "fashion-mnist", home: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        archives: idx([
            ("train-images-idx3-ubyte", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        ]))

    /// Krizhevsky 2009, the binary version. Digest from https://www.cs.toronto.edu/~kriz/cifar.html.
    public static let cifar10 = DatasetSource(
        name: "cifar10", home: toronto,
        archives: [
            Archive(
                name: "cifar-10-binary.tar.gz", byteCount: 170_052_171, md5: "c32a1d4ab5d03f1284b67883e8d87530",
                format: .compressedTar, files: (1...5).map { "data_batch_\($0).bin" } + ["test_batch.bin"])
        ])

    /// Krizhevsky 2009, the binary version. Digest from https://www.cs.toronto.edu/~kriz/cifar.html.
    public static let cifar100 = DatasetSource(
        name: "cifar100", home: toronto,
        archives: [
            Archive(
                name: "cifar-100-binary.tar.gz", byteCount: 168_513_733, md5: "03b5dce01913d631647c71ecec9e9cb8",
                format: .compressedTar, files: ["train.bin", "test.bin"])
        ])

    private static let toronto = "https://www.cs.toronto.edu/~kriz"

    private static func idx(_ files: [(name: String, byteCount: Int, md5: String)]) -> [Archive] {
        files.map { file in
            Archive(
                name: "\(file.name).gz", byteCount: file.byteCount, md5: file.md5, format: .gzip, files: [file.name])
        }
    }
}
