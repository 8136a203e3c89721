import CContracts

/// The descriptors of all contracts and of the files they import, options such as `google.api.http`
/// included.
package enum DescriptorSet {
  /// A serialized `google.protobuf.FileDescriptorSet`, each file after those it imports. The memory
  /// lasts as long as the process.
  package static var serialized: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      start: contracts_descriptor_set(), count: contracts_descriptor_set_size())
  }
}
