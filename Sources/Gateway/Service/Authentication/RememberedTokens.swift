/// The access tokens verified lately, each with whom it speaks for: checking a signature costs more
/// than all else that is done for a request.
///
/// Two generations of at most half the entries each: when the young one is full, the old one is
/// forgotten, and what is still used moves over.
struct RememberedTokens {
  private let generationMax: Int
  private var young: [String: SignedIn] = [:]
  private var old: [String: SignedIn] = [:]

  init(countMax: Int) { generationMax = max(1, countMax / 2) }

  var count: Int { young.count + old.count }

  mutating func find(_ token: String) -> SignedIn? {
    if let known = young[token] { return known }
    guard let known = old.removeValue(forKey: token) else { return nil }
    remember(token, known)
    return known
  }

  mutating func remember(_ token: String, _ signedIn: SignedIn) {
    if young.count >= generationMax {
      old = young
      young = [:]
    }
    young[token] = signedIn
  }

  mutating func forget(_ token: String) {
    young[token] = nil
    old[token] = nil
  }
}
