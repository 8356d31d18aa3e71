package import LCPModels

/// Short trainings on the same images, which are compared on others that were set aside. No test set is read.
package struct TrainingTrials {
    /// What a trial came to.
    package struct Trial: Sendable {
        package var parameters: ModelParameters
        package var result: RecipeChooser.Result
    }

    private let run: TrainingRun
    private let prepared: TrainingRun.Prepared
    /// The images that trials are compared on.
    let held: TrainingSet

    /// - Parameters:
    ///   - run: whose data, teachers and seed are used.
    ///   - validation: the part of its training images that is set aside.
    /// - Throws: ``TrainingError`` or `DatasetError`.
    package init(_ run: TrainingRun, validation: Double) throws {
        var run = run
        (run.validation, run.choice) = (validation, nil)
        let labels = try run.wantedClassNames()
        let (fixed, held) = try run.fixedSets(labels)
        guard let held else {
            throw TrainingError("there are too few images to set some aside and compare trainings on them")
        }
        if !run.teachers.isEmpty {
            var taught = run
            taught.recipe.distillation = 1
            try taught.checkTeachers(labels) { try run.sample(fixed, count: $0) }
        }
        self.run = run
        self.held = held
        prepared = TrainingRun.Prepared(labels: labels, fixed: fixed, validation: held, tests: [])
    }

    /// Of the images and the names of the classes.
    var digest: DataDigest {
        DataDigest(sets: prepared.fixed, validation: held, classes: prepared.labels)
    }

    /// How many images an epoch has.
    package var imageCount: Int {
        zip(run.data, prepared.fixed).reduce(0) { sum, part in
            if case .drawn(let count) = part.0 { return sum + count }
            return sum + (part.1?.count ?? 0)
        }
    }

    /// The names of the classes.
    package var labels: [String] { prepared.labels }

    /// How pixels become the input of a network that learns by the run's recipe.
    package func preprocessing(_ recipe: TrainingRecipe) throws -> ModelManifest.Preprocessing {
        var run = run
        run.recipe = recipe
        return try run.preprocessing(prepared)
    }

    /// Trains a network by a recipe.
    ///
    /// - Parameters:
    ///   - initial: the weights to go on from; nil to begin as the recipe says.
    ///   - progress: false ends it with a `CancellationError`.
    package func train(
        _ network: BranchedNetwork, _ recipe: TrainingRecipe, initial: ModelParameters? = nil,
        progress: (TrainingProgress) -> Bool
    ) throws -> Trial {
        var run = run
        (run.network, run.recipe, run.initial) = (network, recipe, initial)
        if !recipe.hasTeacher { run.teachers = [] }
        let trainer = try run.trainer(try run.preprocessing(prepared), prepared.labels)
        try trainer.run(data: { try run.trainingSet(prepared.fixed, epoch: $0) }, progress: progress)
        return Trial(parameters: trainer.parameters, result: try trainer.result(on: held))
    }
}
