extension LabeledImages {
    /// Gives the images the labels that a model has for classes of the same names.
    ///
    /// Where one of both knows its classes by numbers only, and they are as many, they are taken in their order. Names that are
    /// missing are numbers.
    ///
    /// - Parameters:
    ///   - names: the data's, by their labels; nil where they have none.
    ///   - classes: the model's.
    ///   - data: what an error calls the data.
    ///   - model: what it calls the model.
    /// - Throws: ``DatasetError`` with the class, or the label, that the model does not have.
    public mutating func match(
        _ names: [String]?, to classes: [String], data: String, model: String
    ) throws(DatasetError) {
        guard let names else {
            guard let highest = labels.max(), highest >= classes.count else { return }
            let hint =
                labels.min() == 1 && highest == classes.count ? ": if they begin at 1, say so, idx:…,first=1" : ""
            throw DatasetError(
                "\(data) has the label \(highest), and \(model) has the classes 0 to \(classes.count - 1)\(hint)")
        }
        func areNumbers(_ words: [String]) -> Bool { words == words.indices.map { "\($0)" } }
        if names.count == classes.count, areNumbers(names) || areNumbers(classes) { return }
        let known = Dictionary(
            classes.enumerated().map { ($1.lowercased(), UInt16($0)) }, uniquingKeysWith: { first, _ in first })
        var labels: [UInt16] = []
        for name in names {
            guard let label = known[name.lowercased()] else {
                let some = classes.prefix(8).joined(separator: ", ") + (classes.count > 8 ? ", …" : "")
                throw DatasetError(
                    "\(data) has the class \(name), and \(model) has none of that name: it has \(some); call the folder as the "
                        + "model calls the class, or leave it out")
            }
            labels.append(label)
        }
        self.labels = self.labels.map { labels[Int($0)] }
    }
}
