import LCPModels
import Platform
import Testing

@Suite struct ZooTests {
    /// The paper's counts (Hadidi et al. 2023), and where it prints none, those of its rule.
    @Test(arguments: [
        ("lenet-fc", 1, 0, 10, 266_610), ("lenet", 1, 0, 10, 61_706), ("lenet", 2, 0, 10, 31_466),
        ("lenet", 4, 0, 10, 16_094), ("lenet", 8, 0, 10, 8_834), ("cifarnet", 1, 0, 100, 815_332),
        ("cifarnet", 2, 0, 100, 410_468), ("cifarnet", 4, 0, 100, 208_036), ("cifarnet", 8, 0, 100, 106_820),
        ("cifarnet", 1, 0, 10, 797_962), ("cifarnet-bn", 1, 0, 10, 799_242), ("alexnet", 1, 0, 1000, 50_303_912),
        ("alexnet", 8, 0, 1000, 6_317_480),
        ("alexnet", 8, 40, 1000, 12_108_024), ("vgg16", 1, 0, 1000, 138_357_544),
        ("vgg16", 8, 0, 1000, 17_307_944), ("vgg16", 8, 40, 1000, 33_777_712),
        ("resnet18", 1, 0, 1000, 11_689_512), ("resnet18", 2, 0, 1000, 6_110_760),
        ("resnet18", 4, 0, 1000, 3_321_384), ("resnet18", 8, 0, 1000, 1_926_696),
        ("resnet50", 1, 0, 1000, 25_557_032), ("resnet50", 8, 0, 1000, 5_042_216),
        ("resnet50", 8, 40, 1000, 8_718_616), ("mobilenet", 1, 0, 1000, 4_231_976),
        ("mobilenet", 8, 0, 1000, 1_484_840), ("mobilenet", 8, 40, 1000, 2_299_704),
        ("vgg-s", 1, 0, 100, 76_152_548),
    ])
    func parametersAreThePapers(name: String, branches: Int, fattening: Int, classes: Int, parameters: Int) throws {
        let network = try Network.named(name).with(classes: classes)
            .split(into: branches, fattening: Fattening(integerLiteral: fattening))
        #expect(try network.parameterCount() == parameters)
        let cost = try NetworkCost(network, original: nil)
        #expect(cost.parameters == parameters)
        #expect(try cost.macs == network.macs())
        #expect(cost.branches.reduce(cost.merge.parameters) { $0 + $1.parameters } == parameters)
    }

    @Test(arguments: [("lenet-fc", 266_200), ("lenet", 416_520), ("vgg16", 15_470_264_320)])
    func operationsAreThePapers(name: String, macs: Int) throws {
        #expect(try Network.named(name).split(into: 1).macs() == macs)
    }

    @Test func anUnknownNameIsToldTheKnownOnes() {
        let error = #expect(throws: NetworkError.self) { try Network.named("lenett") }
        #expect(error?.description.contains("lenet, cifarnet") == true)
    }

    @Test func everyNetworkSurvivesItsFile() throws {
        for network in Network.zoo {
            for branches in [1, 3, 8] {
                let split = try network.split(into: branches)
                let folder = ModelBundleTests.Folder()
                var random = SeededGenerator(seed: 1)
                guard try split.parameterCount() < 10_000_000 else { continue }
                let parameters = try ModelParameters.random(for: split, using: &random)
                let bundle = try ModelBundle.write(
                    name: "test", network: split, parameters: parameters, preprocessing: .usual(for: split.input),
                    labels: (0..<split.classes).map { "\($0)" }, to: folder.path)
                #expect(bundle.network == split)
                #expect(try bundle.parameters() == parameters)
            }
        }
    }
}
