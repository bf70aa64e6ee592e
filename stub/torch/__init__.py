class _A:
    def __getattr__(s,k): return _A()
    def __call__(s,*a,**k): return _A()
def __getattr__(k): return _A()
