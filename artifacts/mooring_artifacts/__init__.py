"""What Mooring's roles exchange through stores: addresses, digests, verdicts, model files.

The ground floor: the operator, the components and the runtime import it, and it imports none of them.
"""
