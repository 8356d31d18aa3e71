extension Network {
    /// Where the paper (Hadidi et al., 2023) prints another figure for this network than its own rule gives: one sentence each.
    ///
    /// A test computes every number that a sentence claims for the rule.
    public var paperNotes: [String] {
        switch name {
        case "lenet":
            [
                "The paper's MACs of LeNet, 61.5k, are its weight count without biases, 61,470; the true number is 416,520."
            ]
        case "cifarnet":
            [
                "On CIFAR-10's 10 classes the paper prints 3.32 times fewer parameters at split8-f40; its rule gives 4.04 "
                    + "times fewer, 197,758 instead of 797,962."
            ]
        case "vgg-s":
            [
                "The paper prints 60.79M parameters on Flower102; with its 102 classes these widths give 76,160,742, and with "
                    + "CIFAR-100's 100 classes 76,152,548, which is the paper's 76.15M and settles the widths."
            ]
        case "vgg16":
            [
                "The paper's 7.64M parameters at split8 are VGG-S's figure; its rule gives 17,307,944, and at split8-f40 "
                    + "33,777,712, which is the paper's 33.78M."
            ]
        case "resnet50":
            [
                "The paper prints 22.80M parameters, and 5.42M and 8.60M at split8 and split8-f40; the ordinary network has "
                    + "25,557,032, and by concat the rule gives 5,042,216 and 8,718,616."
            ]
        case "mobilenet":
            [
                "The paper prints 1.12M and 2.12M parameters at split8 and split8-f40; by concat the rule gives 1,484,840 and "
                    + "2,299,704."
            ]
        default: []
        }
    }
}
